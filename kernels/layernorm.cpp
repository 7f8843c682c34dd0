#include "kernels/layernorm.h"

#include <cmath>

#include "kernels/level.h"
#include "kernels/row_chunks.h"

namespace masque {
namespace MASQUE_LEVEL {

template <class Real>
void layernorm_forward(On<Cpu, Real>, const LayernormForward<Real>& args) {
  using Stat = stat_t<Real>;
  const std::int64_t N = args.N, C = args.C;
#pragma omp parallel for schedule(static) if (N * C >= kParallelElements)
  for (std::int64_t n = 0; n < N; ++n) {
    const Real* x = args.x + n * C;
    Real* out = args.out + n * C;
    Stat sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t c = 0; c < C; ++c) sum += x[c];
    const Stat mean = sum / C;
    Stat squares = 0;
#pragma omp simd reduction(+ : squares)
    for (std::int64_t c = 0; c < C; ++c) squares += (x[c] - mean) * (x[c] - mean);
    const Stat rstd = 1 / std::sqrt(squares / C + static_cast<Stat>(args.eps));
    if (args.bias != nullptr) {
#pragma omp simd
      for (std::int64_t c = 0; c < C; ++c) {
        out[c] = static_cast<Real>((x[c] - mean) * rstd * args.weight[c] + args.bias[c]);
      }
    } else {
#pragma omp simd
      for (std::int64_t c = 0; c < C; ++c) {
        out[c] = static_cast<Real>((x[c] - mean) * rstd * args.weight[c]);
      }
    }
    args.mean[n] = mean;
    args.rstd[n] = rstd;
  }
}

// With x̂ = (x − mean)·rstd and g = dout·weight: dx = rstd·(g − mean(g) − x̂·mean(g·x̂)).
template <class Real>
void layernorm_backward(On<Cpu, Real>, const LayernormBackward<Real>& args) {
  using Stat = stat_t<Real>;
  const std::int64_t N = args.N, C = args.C;
  const RowChunks chunks(N);
  Stat* const parts = zeroed_sums<Stat>(chunks.count() * 2 * C);  // (chunks, {weight, bias}, C)
#pragma omp parallel for schedule(static) if (N * C >= kParallelElements)
  for (std::int64_t chunk = 0; chunk < chunks.count(); ++chunk) {
    Stat* dweight = parts + chunk * 2 * C;
    Stat* dbias = dweight + C;
    for (std::int64_t n = chunks.begin(chunk); n < chunks.end(chunk); ++n) {
      const Real* x = args.x + n * C;
      const Real* dout = args.dout + n * C;
      const Stat mean = args.mean[n], rstd = args.rstd[n];
      Stat sum = 0, dot = 0;
#pragma omp simd reduction(+ : sum, dot)
      for (std::int64_t c = 0; c < C; ++c) {
        const Stat normed = (x[c] - mean) * rstd;
        const Stat gradient = dout[c] * args.weight[c];
        sum += gradient;
        dot += gradient * normed;
        dweight[c] += dout[c] * normed;
        dbias[c] += dout[c];
      }
      sum /= C;
      dot /= C;
      Real* dx = args.dx + n * C;
      const Real* dresidual = args.dresidual == nullptr ? nullptr : args.dresidual + n * C;
      if (dresidual != nullptr) {
#pragma omp simd
        for (std::int64_t c = 0; c < C; ++c) {
          const Stat normed = (x[c] - mean) * rstd;
          const Stat gradient = (dout[c] * args.weight[c] - sum - normed * dot) * rstd;
          dx[c] = static_cast<Real>(dresidual[c] + gradient);
        }
      } else {
#pragma omp simd
        for (std::int64_t c = 0; c < C; ++c) {
          const Stat normed = (x[c] - mean) * rstd;
          dx[c] = static_cast<Real>((dout[c] * args.weight[c] - sum - normed * dot) * rstd);
        }
      }
    }
  }
  add_chunks(args.dweight, parts, chunks.count(), 2 * C, C);
  if (args.dbias != nullptr) add_chunks(args.dbias, parts + C, chunks.count(), 2 * C, C);
}

MASQUE_INSTANTIATE(layernorm_forward, LayernormForward)
MASQUE_INSTANTIATE(layernorm_backward, LayernormBackward)

}  // namespace MASQUE_LEVEL
}  // namespace masque
