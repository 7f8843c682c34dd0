#include "kernels/gelu.h"

#include "kernels/level.h"
#include "kernels/row_chunks.h"
#include "kernels/vector_math.h"

namespace masque {
namespace MASQUE_LEVEL {
namespace {

constexpr double kScale = 1.5957691216057308;  // 2·√(2/π)
constexpr double kCubic = 0.044715;

}  // namespace

// (1 + tanh(u))/2 = 1/(1 + e^−2u), which does not cancel for negative x.
template <class Real>
void gelu_forward(On<Cpu, Real>, const GeluForward<Real>& args) {
  using Stat = stat_t<Real>;
  constexpr Stat scale = static_cast<Stat>(kScale), cubic = static_cast<Stat>(kCubic);
#pragma omp parallel for simd schedule(static) if (parallel : args.n >= kParallelElements)
  for (std::int64_t i = 0; i < args.n; ++i) {
    const Stat x = args.x[i];
    const Stat exponent = scale * x * (1 + cubic * x * x);
    args.out[i] = x / (1 + fast_exp(-exponent));
  }
}

template <class Real>
void gelu_backward(On<Cpu, Real>, const GeluBackward<Real>& args) {
  using Stat = stat_t<Real>;
  constexpr Stat scale = static_cast<Stat>(kScale), cubic = static_cast<Stat>(kCubic);
#pragma omp parallel for simd schedule(static) if (parallel : args.n >= kParallelElements)
  for (std::int64_t i = 0; i < args.n; ++i) {
    const Stat x = args.x[i];
    const Stat exponent = scale * x * (1 + cubic * x * x);
    const Stat sigmoid = 1 / (1 + fast_exp(-exponent));
    const Stat slope = scale * (1 + 3 * cubic * x * x);
    args.dx[i] = args.dout[i] * sigmoid * (1 + x * (1 - sigmoid) * slope);
  }
}

MASQUE_INSTANTIATE(gelu_forward, GeluForward)
MASQUE_INSTANTIATE(gelu_backward, GeluBackward)

}  // namespace MASQUE_LEVEL
}  // namespace masque
