#include "kernels/gelu.h"

#include <algorithm>

#include "kernels/level.h"
#include "kernels/row_chunks.h"
#include "kernels/row_parts.h"
#include "kernels/vector_math.h"

namespace masque {
namespace MASQUE_LEVEL {
namespace {

constexpr double kScale = 1.5957691216057308;  // 2·√(2/π)
constexpr double kCubic = 0.044715;
constexpr std::int64_t kShare = 1024;  // numbers of a task

// body(part, first): of the numbers from `first` on, on all threads.
template <class Stat, class Body>
void for_all(std::int64_t count, const Body& body) {
#pragma omp parallel for schedule(static) if (count >= kParallelElements)
  for (std::int64_t first = 0; first < count; first += kShare) {
    for_parts<Stat>(std::min(kShare, count - first), [&](const auto& part) { body(part, first); });
  }
}

}  // namespace

// (1 + tanh(u))/2 = 1/(1 + e^−2u), which does not cancel for negative x.
template <class Real>
void gelu_forward(On<Cpu, Real>, const GeluForward<Real>& args) {
  using Stat = stat_t<Real>;
  constexpr Stat scale = static_cast<Stat>(kScale), cubic = static_cast<Stat>(kCubic);
  for_all<Stat>(args.n, [&](const auto& part, std::int64_t first) {
    const auto x = part.load(args.x + first);
    part.store(args.out + first, x * sigmoid<Stat>(scale * x * (1 + cubic * x * x)));
  });
}

template <class Real>
void gelu_backward(On<Cpu, Real>, const GeluBackward<Real>& args) {
  using Stat = stat_t<Real>;
  constexpr Stat scale = static_cast<Stat>(kScale), cubic = static_cast<Stat>(kCubic);
  for_all<Stat>(args.n, [&](const auto& part, std::int64_t first) {
    const auto x = part.load(args.x + first);
    const auto share = sigmoid<Stat>(scale * x * (1 + cubic * x * x));
    const auto slope = scale * (1 + 3 * cubic * x * x);
    part.store(args.dx + first,
               part.load(args.dout + first) * share * (1 + x * (1 - share) * slope));
  });
}

MASQUE_INSTANTIATE(gelu_forward, GeluForward)
MASQUE_INSTANTIATE(gelu_backward, GeluBackward)

}  // namespace MASQUE_LEVEL
}  // namespace masque
