#include "kernels/vector_math.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "tests/support/catch.h"

namespace masque::test {
namespace {

// |got − wanted| in units of the last place of the float nearest `wanted`.
double ulps(float got, double wanted) {
  if (std::isnan(wanted)) return std::isnan(got) ? 0.0 : std::numeric_limits<double>::infinity();
  const float nearest = static_cast<float>(wanted);
  if (got == nearest) return 0;
  if (std::isinf(nearest) || !std::isfinite(got)) return std::numeric_limits<double>::infinity();
  const int exponent = std::max(std::ilogb(nearest), -126);
  return std::abs(got - wanted) / std::ldexp(1.0, exponent - 23);
}

// The largest error over every `stride`-th float, computed in a loop that vectorises.
template <class Fast, class Exact>
double largest_error(Fast fast, Exact exact, std::uint64_t stride) {
  std::array<float, 1024> x, y;
  double largest = 0;
  for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32);) {
    for (float& value : x) {
      value = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
      bits += stride;
    }
#pragma omp simd
    for (std::size_t i = 0; i < x.size(); ++i) y[i] = fast(x[i]);
    for (std::size_t i = 0; i < x.size(); ++i) {
      largest = std::max(largest, ulps(y[i], exact(static_cast<double>(x[i]))));
    }
  }
  return largest;
}

constexpr std::uint64_t kStride = 499;  // prime: every exponent, millions of mantissas

TEST_CASE("fast_exp is within 2 ulp of exp over all floats", "[cpu]") {
  const double error = largest_error([](float x) { return fast_exp(x); },
                                     [](double x) { return std::exp(x); }, kStride);
  CHECK(error <= 2.0);
}

TEST_CASE("fast_tanh is within 2 ulp of tanh over all floats", "[cpu]") {
  const double error = largest_error([](float x) { return fast_tanh(x); },
                                     [](double x) { return std::tanh(x); }, kStride);
  CHECK(error <= 2.0);
}

TEST_CASE("fast_exp and fast_tanh at their limits", "[cpu]") {
  constexpr float inf = std::numeric_limits<float>::infinity();
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(fast_exp(-inf) == 0.0f);
  CHECK(fast_exp(inf) == inf);
  CHECK(fast_exp(0.0f) == 1.0f);
  CHECK(fast_exp(-0.0f) == 1.0f);
  CHECK(std::isnan(fast_exp(nan)));
  CHECK(fast_exp(88.72283f) < inf);
  CHECK(fast_exp(88.72284f) == inf);
  CHECK(fast_exp(-103.0f) > 0.0f);
  CHECK(fast_exp(-105.0f) == 0.0f);
  CHECK(fast_tanh(inf) == 1.0f);
  CHECK(fast_tanh(-inf) == -1.0f);
  CHECK(fast_tanh(0.0f) == 0.0f);
  CHECK(std::signbit(fast_tanh(-0.0f)));
  CHECK(std::isnan(fast_tanh(nan)));
  CHECK(fast_exp(0.3) == std::exp(0.3));
  CHECK(fast_tanh(0.3) == std::tanh(0.3));
}

}  // namespace
}  // namespace masque::test
