#include "kernels/attention_decode.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/attention.h"
#include "kernels/bf16.h"
#include "tests/support/arrays.h"
#include "tests/support/catch.h"
#include "tests/support/cpu_levels.h"

namespace masque::test {
namespace {

struct Sizes {
  std::int64_t B, T, NH, HS, capacity;
};

// The outputs of a whole sequence, decoded in pieces of the given lengths.
template <class Real>
std::vector<Real> decode(const Sizes& at, const std::vector<Real>& qkv,
                         const std::vector<std::int64_t>& pieces) {
  const std::int64_t width = at.NH * at.HS;
  auto keys = poisoned<Real>(at.B * at.capacity * width), values = keys;
  auto out = poisoned<Real>(at.B * at.T * width);
  std::int64_t past = 0;
  for (const std::int64_t piece : pieces) {
    std::vector<Real> fresh(at.B * piece * 3 * width);
    auto part = poisoned<Real>(at.B * piece * width);
    for (std::int64_t b = 0; b < at.B; ++b) {
      std::copy_n(qkv.begin() + (b * at.T + past) * 3 * width, piece * 3 * width,
                  fresh.begin() + b * piece * 3 * width);
    }
    attention_decode(On<Cpu, Real>{}, {part.data(), keys.data(), values.data(), fresh.data(), past,
                                       at.capacity, at.B, piece, at.NH, at.HS});
    for (std::int64_t b = 0; b < at.B; ++b) {
      std::copy_n(part.begin() + b * piece * width, piece * width,
                  out.begin() + (b * at.T + past) * width);
    }
    past += piece;
  }
  return out;
}

// Against attention over the whole sequence in f64, on the same numbers.
template <class Real>
void check(const Sizes& at, const std::vector<std::int64_t>& pieces, double tolerance) {
  const auto qkv = normal_array<Real>("decode", 3 * at.B * at.T * at.NH * at.HS);
  const std::vector<double> exact(qkv.begin(), qkv.end());
  auto wanted = poisoned<double>(at.B * at.T * at.NH * at.HS);
  auto lse = poisoned<double>(at.B * at.NH * at.T);
  attention_forward(On<Cpu, double>{}, {wanted.data(), lse.data(), exact.data(), nullptr, true,
                                        nullptr, 0, 0.0, at.B, at.T, at.NH, at.HS});
  const auto got = decode<Real>(at, qkv, pieces);
  double largest = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double difference = std::abs(static_cast<double>(got[i]) - wanted[i]);
    largest = difference <= largest ? largest : difference;  // NaN is the largest
  }
  CAPTURE(at.B, at.T, at.NH, at.HS, at.capacity, pieces);
  CHECK(largest <= tolerance);
}

TEST_CASE("attention_decode equals causal attention, at every level", "[cpu]") {
  const std::vector<std::int64_t> ones(13, 1);
  const std::vector<std::vector<std::int64_t>> cuts = {{13}, ones, {5, 1, 1, 6}, {12, 1}};
  constexpr double kBf16 = 0.01;  // of outputs below 4: rounded to 2⁻⁷ at most
  at_every_cpu_level([&] {
    for (const auto& pieces : cuts) {
      check<float>({2, 13, 3, 5, 13}, pieces, 1e-5);
      check<double>({2, 13, 3, 5, 13}, pieces, 1e-12);
      check<bf16>({2, 13, 3, 5, 13}, pieces, kBf16);
      check<float>({1, 13, 2, 32, 20}, pieces, 1e-5);
      check<bf16>({1, 13, 2, 32, 20}, pieces, kBf16);
      check<double>({3, 13, 1, 1, 17}, pieces, 1e-12);
    }
    for (const std::int64_t HS : {1, 7, 16, 33, 48, 64, 96, 100, 128, 160}) {
      check<float>({2, 67, 2, HS, 70}, {50, 1, 16}, 1e-5);
      check<bf16>({2, 67, 2, HS, 70}, {50, 1, 16}, kBf16);
      check<double>({2, 67, 2, HS, 70}, {50, 1, 16}, 1e-12);
    }
  });
}

TEST_CASE("attention_decode gives the same bits for any number of threads and any cut", "[cpu]") {
  const Sizes at = {2, 40, 3, 24, 48};
  const auto qkv = normal_array<float>("decode", 3 * at.B * at.T * at.NH * at.HS);
  const auto narrow = normal_array<bf16>("decode", 3 * at.B * at.T * at.NH * at.HS);
  at_every_cpu_level([&] {
    CHECK(same_for_any_threads([&] { return decode<float>(at, qkv, {30, 1, 9}); }));
    CHECK(same_bits(decode<float>(at, qkv, {40}), decode<float>(at, qkv, {30, 1, 9})));
    CHECK(same_bits(decode<bf16>(at, narrow, {40}), decode<bf16>(at, narrow, {30, 1, 9})));
  });
}

TEST_CASE("attention_decode refuses what its cache cannot hold", "[cpu]") {
  const Sizes at = {1, 5, 1, 2, 4};
  const auto qkv = normal_array<float>("decode", 30);
  CHECK_THROWS_WITH(decode<float>(at, qkv, {5}),
                    Catch::Contains("5 positions do not fit a cache of 4"));
}

}  // namespace
}  // namespace masque::test
