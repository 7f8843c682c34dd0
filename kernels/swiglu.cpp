#include "kernels/swiglu.h"

#include "kernels/level.h"
#include "kernels/row_chunks.h"
#include "kernels/store_row.h"
#include "kernels/vector_math.h"

namespace masque {
namespace MASQUE_LEVEL {

template <class Real>
void swiglu_forward(On<Cpu, Real>, const SwigluForward<Real>& args) {
  using Stat = stat_t<Real>;
  const std::int64_t N = args.N, F = args.F;
#pragma omp parallel for schedule(static) if (N * F >= kParallelElements)
  for (std::int64_t n = 0; n < N; ++n) {
    const Real* gates = args.gate_up + n * 2 * F;
    const Real* ups = gates + F;
    Real* out = args.out + n * F;
    store_row(out, F, [&](std::int64_t i) {
      const Stat gate = gates[i];
      return gate / (1 + fast_exp(-gate)) * ups[i];
    });
  }
}

template <class Real>
void swiglu_backward(On<Cpu, Real>, const SwigluBackward<Real>& args) {
  using Stat = stat_t<Real>;
  const std::int64_t N = args.N, F = args.F;
#pragma omp parallel for schedule(static) if (N * F >= kParallelElements)
  for (std::int64_t n = 0; n < N; ++n) {
    const Real* gates = args.gate_up + n * 2 * F;
    const Real* ups = gates + F;
    const Real* dout = args.dout + n * F;
    Real* dgates = args.dgate_up + n * 2 * F;
    Real* dups = dgates + F;
    store_rows(dgates, dups, F, [&](std::int64_t i, Stat& dgate, Stat& dup) {
      const Stat gate = gates[i], up = ups[i], gradient = dout[i];
      const Stat sigmoid = 1 / (1 + fast_exp(-gate));
      dgate = gradient * up * sigmoid * (1 + gate * (1 - sigmoid));
      dup = gradient * gate * sigmoid;
    });
  }
}

MASQUE_INSTANTIATE(swiglu_forward, SwigluForward)
MASQUE_INSTANTIATE(swiglu_backward, SwigluBackward)

}  // namespace MASQUE_LEVEL
}  // namespace masque
