#include "kernels/global_norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/row_chunks.h"

namespace masque {
namespace {

constexpr std::int64_t kChunk = 16384;

}  // namespace

template <class Real>
void global_norm(On<Cpu, Real>, const GlobalNorm<Real>& args) {
  const std::int64_t chunks = (args.n + kChunk - 1) / kChunk;
  double* const parts = zeroed_scratch<double>(chunks);
#pragma omp parallel for schedule(static) if (chunks > 1)
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    const std::int64_t begin = chunk * kChunk, end = std::min(args.n, begin + kChunk);
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = begin; i < end; ++i) {
      const double g = static_cast<double>(args.grad[i]);
      sum += g * g;
    }
    parts[chunk] = sum;
  }
  double squares = 0;
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) squares += parts[chunk];
  const double norm = std::sqrt(squares);
  args.state->grad_norm = norm;
  args.state->clip_scale = args.clip > 0 && norm > args.clip ? args.clip / norm : 1;
  args.state->finite = std::isfinite(norm) ? 1 : 0;
}

template void global_norm(On<Cpu, float>, const GlobalNorm<float>&);
template void global_norm(On<Cpu, double>, const GlobalNorm<double>&);

}  // namespace masque
