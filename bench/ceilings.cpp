#include "bench/ceilings.h"

#include <omp.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/linear.h"

namespace masque::bench {
namespace {

constexpr double kSeconds = 0.4;  // of repeats, of which the best counts

template <class Work>
double best_seconds(Timer& timer, Work work) {
  double best = std::numeric_limits<double>::infinity(), spent = 0;
  while (spent < kSeconds) {
    timer.start();
    work();
    timer.stop();
    const double seconds = timer.seconds();
    best = std::min(best, seconds);
    spent += seconds;
  }
  return best;
}

// A long piece a thread: for long copies memcpy writes around the caches.
void copy(const Device& device, const Memory& to, const Memory& from) {
  if (on_gpu(device)) return copy_on_device(device, to.data(), from.data(), from.size());
#pragma omp parallel
  {
    const auto threads = static_cast<std::size_t>(omp_get_num_threads());
    const auto thread = static_cast<std::size_t>(omp_get_thread_num());
    const std::size_t begin = from.size() * thread / threads;
    const std::size_t end = from.size() * (thread + 1) / threads;
    std::memcpy(to.data() + begin, from.data() + begin, end - begin);
  }
}

double copy_rate(const Device& device, Timer& timer) {
  constexpr std::size_t kBytes = std::size_t{256} << 20;
  const Memory from(device, kBytes, "copy"), to(device, kBytes, "copy");
  return 2.0 * kBytes / best_seconds(timer, [&] { copy(device, to, from); });
}

// n·n numbers in −0.5 … 0.5: a GPU multiplies zeros faster than it could anything else.
template <class Real>
Memory matrix(const Device& device, std::int64_t n) {
  constexpr std::int64_t kPeriod = 1009;
  std::vector<Real> values(static_cast<std::size_t>(n * n));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = Real(static_cast<float>(i * 7919 % kPeriod) / kPeriod - 0.5f);
  }
  Memory memory(device, values.size() * sizeof(Real), "product");
  copy_to_device(device, memory.data(), values.data(), memory.size());
  return memory;
}

template <class On>
double product_seconds(On on, Timer& timer, std::int64_t n) {
  using Real = typename On::real;
  const Memory out = matrix<Real>(on, n), x = matrix<Real>(on, n), weight = matrix<Real>(on, n);
  return best_seconds(timer, [&] {
    linear_forward(on, LinearForward<Real>{.out = reinterpret_cast<Real*>(out.data()),
                                           .x = reinterpret_cast<Real*>(x.data()),
                                           .weight = reinterpret_cast<Real*>(weight.data()),
                                           .bias = nullptr,
                                           .N = n,
                                           .IC = n,
                                           .OC = n});
  });
}

// Of square products, larger and larger until one takes long enough.
double product_rate(const Device& device, Timer& timer) {
  constexpr std::int64_t kSmallest = 512, kLargest = 8192;
  constexpr double kLongEnough = 2e-3;
  double best_rate = 0;
  for (std::int64_t n = kSmallest; n <= kLargest; n *= 2) {
    const double seconds =
        std::visit([&](auto on) { return product_seconds(on, timer, n); }, device);
    const auto side = static_cast<double>(n);
    best_rate = std::max(best_rate, 2 * side * side * side / seconds);
    if (seconds > kLongEnough) break;
  }
  return best_rate;
}

}  // namespace

Ceilings measure_ceilings(const Device& device) {
  const std::unique_ptr<Timer> timer = make_timer(device);
  return {copy_rate(device, *timer), product_rate(device, *timer)};
}

}  // namespace masque::bench
