#include "kernels/gelu.h"

#include <algorithm>

#include "kernels/level.h"
#include "kernels/row_chunks.h"
#include "kernels/store_row.h"
#include "kernels/vector_math.h"

namespace masque {
namespace MASQUE_LEVEL {
namespace {

constexpr double kScale = 1.5957691216057308;  // 2·√(2/π)
constexpr double kCubic = 0.044715;
constexpr std::int64_t kShare = 1024;  // numbers of a task

// out[i] = value(i), for i < count, on all threads.
template <class Real, class Value>
void store_all(Real* out, std::int64_t count, const Value& value) {
#pragma omp parallel for schedule(static) if (count >= kParallelElements)
  for (std::int64_t first = 0; first < count; first += kShare) {
    store_row(out + first, std::min(kShare, count - first),
              [&](std::int64_t i) { return value(first + i); });
  }
}

}  // namespace

// (1 + tanh(u))/2 = 1/(1 + e^−2u), which does not cancel for negative x.
template <class Real>
void gelu_forward(On<Cpu, Real>, const GeluForward<Real>& args) {
  using Stat = stat_t<Real>;
  constexpr Stat scale = static_cast<Stat>(kScale), cubic = static_cast<Stat>(kCubic);
  store_all(args.out, args.n, [&](std::int64_t i) {
    const Stat x = args.x[i];
    const Stat exponent = scale * x * (1 + cubic * x * x);
    return x / (1 + fast_exp(-exponent));
  });
}

template <class Real>
void gelu_backward(On<Cpu, Real>, const GeluBackward<Real>& args) {
  using Stat = stat_t<Real>;
  constexpr Stat scale = static_cast<Stat>(kScale), cubic = static_cast<Stat>(kCubic);
  store_all(args.dx, args.n, [&](std::int64_t i) {
    const Stat x = args.x[i];
    const Stat exponent = scale * x * (1 + cubic * x * x);
    const Stat sigmoid = 1 / (1 + fast_exp(-exponent));
    const Stat slope = scale * (1 + 3 * cubic * x * x);
    return args.dout[i] * sigmoid * (1 + x * (1 - sigmoid) * slope);
  });
}

MASQUE_INSTANTIATE(gelu_forward, GeluForward)
MASQUE_INSTANTIATE(gelu_backward, GeluBackward)

}  // namespace MASQUE_LEVEL
}  // namespace masque
