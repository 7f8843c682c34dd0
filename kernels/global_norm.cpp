#include "kernels/global_norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/level.h"
#include "kernels/row_chunks.h"

namespace masque {
namespace MASQUE_LEVEL {
namespace {

constexpr std::int64_t kChunk = 16384;
constexpr std::int64_t kLanes = 32;  // sums side by side: one would wait for each addition

template <class Param>
double sum_squares(const Param* x, std::int64_t n) {
  double sums[kLanes] = {};
  const std::int64_t whole = n - n % kLanes;
  for (std::int64_t i = 0; i < whole; i += kLanes) {
#pragma omp simd
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      const double value = static_cast<double>(x[i + lane]);
      sums[lane] += value * value;
    }
  }
  double sum = 0;
  for (std::int64_t i = whole; i < n; ++i) {
    sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  }
  for (const double lane_sum : sums) sum += lane_sum;
  return sum;
}

}  // namespace

template <class Real>
void global_norm(On<Cpu, Real>, const GlobalNorm<Real>& args) {
  const std::int64_t chunks = (args.n + kChunk - 1) / kChunk;
  double* const parts = zeroed_sums<double>(chunks);
#pragma omp parallel for schedule(static) if (chunks > 1)
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    const std::int64_t begin = chunk * kChunk, end = std::min(args.n, begin + kChunk);
    parts[chunk] = sum_squares(args.grad + begin, end - begin);
  }
  double squares = 0;
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) squares += parts[chunk];
  const double norm = std::sqrt(squares);
  args.state->grad_norm = norm;
  args.state->clip_scale = args.clip > 0 && norm > args.clip ? args.clip / norm : 1;
  args.state->finite = std::isfinite(norm) ? 1 : 0;
  if (args.skipped != nullptr && args.state->finite == 0) ++*args.skipped;
}

MASQUE_INSTANTIATE(global_norm, GlobalNorm)

}  // namespace MASQUE_LEVEL
}  // namespace masque
