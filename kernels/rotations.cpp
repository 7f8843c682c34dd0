#include "kernels/rotations.h"

#include <cmath>
#include <tuple>
#include <vector>

namespace masque {

template <class Stat>
Rotations<Stat> rotations(std::int64_t first_position, std::int64_t T, std::int64_t half,
                          double theta) {
  using Key = std::tuple<std::int64_t, std::int64_t, std::int64_t, double>;
  thread_local Key last{0, 0, 0, 0.0};
  thread_local std::vector<Stat> cosines, sines;
  const Key wanted{first_position, T, half, theta};
  if (last != wanted) {
    last = wanted;
    const auto count = static_cast<std::size_t>(T * half);
    cosines.resize(count);
    sines.resize(count);
    for (std::int64_t i = 0; i < half; ++i) {
      const double frequency = std::pow(theta, -static_cast<double>(i) / static_cast<double>(half));
      for (std::int64_t t = 0; t < T; ++t) {
        const double angle = static_cast<double>(first_position + t) * frequency;
        const auto at = static_cast<std::size_t>(t * half + i);
        cosines[at] = static_cast<Stat>(std::cos(angle));
        sines[at] = static_cast<Stat>(std::sin(angle));
      }
    }
  }
  return {cosines.data(), sines.data()};
}

template Rotations<float> rotations(std::int64_t, std::int64_t, std::int64_t, double);
template Rotations<double> rotations(std::int64_t, std::int64_t, std::int64_t, double);

}  // namespace masque
