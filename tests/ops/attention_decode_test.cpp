#include "kernels/attention_decode.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/attention.h"
#include "tests/support/arrays.h"
#include "tests/support/catch.h"

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

template <class Real>
void check(const Sizes& at, const std::vector<std::int64_t>& pieces, double tolerance) {
  const auto qkv = normal_array<Real>("decode", 3 * at.B * at.T * at.NH * at.HS);
  auto wanted = poisoned<Real>(at.B * at.T * at.NH * at.HS);
  auto lse = poisoned<Real>(at.B * at.NH * at.T);
  attention_forward(On<Cpu, Real>{}, {wanted.data(), lse.data(), qkv.data(), nullptr, true, nullptr,
                                      0, 0.0, at.B, at.T, at.NH, at.HS});
  const auto got = decode<Real>(at, qkv, pieces);
  bool close = true;
  for (std::size_t i = 0; i < got.size(); ++i) {
    close = close && std::abs(got[i] - wanted[i]) <= tolerance;
  }
  CAPTURE(at.B, at.T, at.NH, at.HS, at.capacity, pieces);
  CHECK(close);
}

TEST_CASE("attention_decode equals causal attention", "[cpu]") {
  const std::vector<std::int64_t> ones(13, 1);
  const std::vector<std::vector<std::int64_t>> cuts = {{13}, ones, {5, 1, 1, 6}, {12, 1}};
  for (const auto& pieces : cuts) {
    check<float>({2, 13, 3, 5, 13}, pieces, 1e-5);
    check<double>({2, 13, 3, 5, 13}, pieces, 1e-12);
    check<float>({1, 13, 2, 32, 20}, pieces, 1e-5);
    check<double>({3, 13, 1, 1, 17}, pieces, 1e-12);
  }
  check<float>({2, 131, 2, 64, 131}, {100, 1, 30}, 1e-5);
  check<double>({1, 67, 1, 128, 70}, {67}, 1e-12);
}

TEST_CASE("attention_decode gives the same bits for any number of threads and any cut", "[cpu]") {
  const Sizes at = {2, 40, 3, 24, 48};
  const auto qkv = normal_array<float>("decode", 3 * at.B * at.T * at.NH * at.HS);
  CHECK(same_for_any_threads([&] { return decode<float>(at, qkv, {30, 1, 9}); }));
  CHECK(same_bits(decode<float>(at, qkv, {40}), decode<float>(at, qkv, {30, 1, 9})));
}

TEST_CASE("attention_decode refuses what its cache cannot hold", "[cpu]") {
  const Sizes at = {1, 5, 1, 2, 4};
  const auto qkv = normal_array<float>("decode", 30);
  CHECK_THROWS_WITH(decode<float>(at, qkv, {5}),
                    Catch::Contains("5 positions do not fit a cache of 4"));
}

}  // namespace
}  // namespace masque::test
