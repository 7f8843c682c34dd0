#include "kernels/swiglu.h"

#include "kernels/level.h"
#include "kernels/row_chunks.h"
#include "kernels/row_parts.h"
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
    for_parts<Stat>(F, [&](const auto& part) {
      const auto gate = part.load(gates);
      part.store(out, gate * sigmoid<Stat>(gate) * part.load(ups));
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
    for_parts<Stat>(F, [&](const auto& part) {
      const auto gate = part.load(gates), share = sigmoid<Stat>(gate);
      const auto gradient = part.load(dout) * share;
      part.store(dgates, gradient * part.load(ups) * (1 + gate * (1 - share)));
      part.store(dups, gradient * gate);
    });
  }
}

MASQUE_INSTANTIATE(swiglu_forward, SwigluForward)
MASQUE_INSTANTIATE(swiglu_backward, SwigluBackward)

}  // namespace MASQUE_LEVEL
}  // namespace masque
