#include "models/intervals.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "core/check.h"
#include "kernels/philox.h"

namespace masque {
namespace {

constexpr std::int64_t kResamples = 2000;
constexpr std::int64_t kBlock = 32;

// Interpolated quantile of ascending values.
double quantile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double weight = place - static_cast<double>(below);
  return sorted[below] + weight * (sorted[above] - sorted[below]);
}

}  // namespace

Interval moving_block_bootstrap(std::span<const double> numerator,
                                std::span<const std::int64_t> denominator, std::uint64_t seed) {
  CHECK(numerator.size() == denominator.size(), "bootstrap: {} numerators for {} denominators",
        numerator.size(), denominator.size());
  const auto windows = static_cast<std::int64_t>(numerator.size());
  if (windows < 2) {
    const double unknown = std::numeric_limits<double>::quiet_NaN();
    return {unknown, unknown};
  }
  const std::int64_t block = std::clamp<std::int64_t>(windows / 4, 1, kBlock);

  std::vector<double> ratios(kResamples);
  for (std::int64_t resample = 0; resample < kResamples; ++resample) {
    double top = 0, bottom = 0;
    for (std::int64_t drawn = 0; drawn < windows; drawn += block) {
      const std::uint64_t word =
          philox_word(seed, stream_of(Purpose::bootstrap), static_cast<std::uint32_t>(resample), 0,
                      static_cast<std::uint64_t>(drawn / block));
      const auto start =
          static_cast<std::int64_t>(word * static_cast<std::uint64_t>(windows) >> 32);
      const std::int64_t size = std::min(block, windows - drawn);
      for (std::int64_t i = 0; i < size; ++i) {
        const std::int64_t place = start + i;
        const auto window = static_cast<std::size_t>(place < windows ? place : place - windows);
        top += numerator[window];
        bottom += static_cast<double>(denominator[window]);
      }
    }
    ratios[static_cast<std::size_t>(resample)] = top / bottom;
  }
  std::sort(ratios.begin(), ratios.end());
  return {quantile(ratios, 0.025), quantile(ratios, 0.975)};
}

double student_t(std::int64_t degrees) {
  CHECK(degrees >= 1, "student_t: {} degrees of freedom; at least 1 is needed", degrees);
  constexpr std::array<double, 6> kFew = {12.706205, 4.302653, 3.182446,
                                          2.776445,  2.570582, 2.446912};
  if (degrees <= static_cast<std::int64_t>(kFew.size())) {
    return kFew[static_cast<std::size_t>(degrees - 1)];
  }
  // Cornish-Fisher expansion in 1/degrees about the normal quantile (Abramowitz and Stegun 26.7.5).
  const double z = 1.959963984540054, square = z * z, nu = static_cast<double>(degrees);
  const double first = z * (square + 1) / 4;
  const double second = z * ((5 * square + 16) * square + 3) / 96;
  const double third = z * (((3 * square + 19) * square + 17) * square - 15) / 384;
  const double fourth =
      z * ((((79 * square + 776) * square + 1482) * square - 1920) * square - 945) / 92160;
  return z + (first + (second + (third + fourth / nu) / nu) / nu) / nu;
}

}  // namespace masque
