#include "kernels/rmsnorm.h"

#include <cmath>

#include "kernels/level.h"
#include "kernels/row_chunks.h"

namespace masque {
namespace MASQUE_LEVEL {

template <class Real>
void rmsnorm_forward(On<Cpu, Real>, const RmsnormForward<Real>& args) {
  using Stat = stat_t<Real>;
  const std::int64_t N = args.N, C = args.C;
#pragma omp parallel for schedule(static) if (N * C >= kParallelElements)
  for (std::int64_t n = 0; n < N; ++n) {
    const Real* x = args.x + n * C;
    Real* out = args.out + n * C;
    Stat squares = 0;
#pragma omp simd reduction(+ : squares)
    for (std::int64_t c = 0; c < C; ++c) squares += x[c] * x[c];
    const Stat rstd = 1 / std::sqrt(squares / C + static_cast<Stat>(args.eps));
#pragma omp simd
    for (std::int64_t c = 0; c < C; ++c) out[c] = static_cast<Real>(x[c] * rstd * args.weight[c]);
    args.rstd[n] = rstd;
  }
}

// With x̂ = x·rstd and g = dout·weight: dx = rstd·(g − x̂·mean(g·x̂)).
template <class Real>
void rmsnorm_backward(On<Cpu, Real>, const RmsnormBackward<Real>& args) {
  using Stat = stat_t<Real>;
  const std::int64_t N = args.N, C = args.C;
  const RowChunks chunks(N);
  Stat* const parts = zeroed_sums<Stat>(chunks.count() * C);  // (chunks, C)
#pragma omp parallel for schedule(static) if (N * C >= kParallelElements)
  for (std::int64_t chunk = 0; chunk < chunks.count(); ++chunk) {
    Stat* dweight = parts + chunk * C;
    for (std::int64_t n = chunks.begin(chunk); n < chunks.end(chunk); ++n) {
      const Real* x = args.x + n * C;
      const Real* dout = args.dout + n * C;
      const Stat rstd = args.rstd[n];
      Stat dot = 0;
#pragma omp simd reduction(+ : dot)
      for (std::int64_t c = 0; c < C; ++c) {
        const Stat product = dout[c] * (x[c] * rstd);
        dot += product * args.weight[c];
        dweight[c] += product;
      }
      dot /= C;
      Real* dx = args.dx + n * C;
      const Real* dresidual = args.dresidual == nullptr ? nullptr : args.dresidual + n * C;
      if (dresidual != nullptr) {
#pragma omp simd
        for (std::int64_t c = 0; c < C; ++c) {
          const Stat gradient = (dout[c] * args.weight[c] - x[c] * rstd * dot) * rstd;
          dx[c] = static_cast<Real>(dresidual[c] + gradient);
        }
      } else {
#pragma omp simd
        for (std::int64_t c = 0; c < C; ++c) {
          dx[c] = static_cast<Real>((dout[c] * args.weight[c] - x[c] * rstd * dot) * rstd);
        }
      }
    }
  }
  add_chunks(args.dweight, parts, chunks.count(), C, C);
}

MASQUE_INSTANTIATE(rmsnorm_forward, RmsnormForward)
MASQUE_INSTANTIATE(rmsnorm_backward, RmsnormBackward)

}  // namespace MASQUE_LEVEL
}  // namespace masque
