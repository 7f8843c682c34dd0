// attention_decode on the GPU against the CPU's causal attention in f64.
#include <algorithm>
#include <vector>

#include "kernels/attention.h"
#include "kernels/attention_decode.h"
#include "tests/support/arrays.h"
#include "tests/support/device_array.h"
#include "tests/support/gpu.h"
// After the engine's own headers.
#include "tests/support/catch.h"

namespace masque::test {
namespace {

struct Sizes {
  std::int64_t B, T, NH, HS, capacity;
};

template <class Real>
std::vector<Real> qkv_of(const Sizes& at) {
  return normal_array<Real>("decode", 3 * at.B * at.T * at.NH * at.HS);
}

// The outputs of a whole sequence, decoded in pieces of the given lengths.
template <class Real>
std::vector<Real> decode(const Sizes& at, const std::vector<std::int64_t>& pieces) {
  const std::int64_t width = at.NH * at.HS;
  const auto qkv = qkv_of<Real>(at);
  const DeviceArray<Real> keys(static_cast<std::size_t>(at.B * at.capacity * width));
  const DeviceArray<Real> values(keys.size());
  std::vector<Real> out(static_cast<std::size_t>(at.B * at.T * width));
  std::int64_t past = 0;
  for (const std::int64_t piece : pieces) {
    std::vector<Real> fresh(static_cast<std::size_t>(at.B * piece * 3 * width));
    for (std::int64_t b = 0; b < at.B; ++b) {
      std::copy_n(qkv.begin() + (b * at.T + past) * 3 * width, piece * 3 * width,
                  fresh.begin() + b * piece * 3 * width);
    }
    const DeviceArray<Real> device_fresh(fresh);
    const DeviceArray<Real> part(static_cast<std::size_t>(at.B * piece * width));
    attention_decode(on_gpu<Real>(), {part.data(), keys.data(), values.data(), device_fresh.data(),
                                      past, at.capacity, at.B, piece, at.NH, at.HS});
    const std::vector<Real> got = part.read();
    for (std::int64_t b = 0; b < at.B; ++b) {
      std::copy_n(got.begin() + b * piece * width, piece * width,
                  out.begin() + (b * at.T + past) * width);
    }
    past += piece;
  }
  return out;
}

template <class Real>
void check(const Sizes& at, const std::vector<std::int64_t>& pieces, double limit) {
  const auto numbers = qkv_of<Real>(at);
  const std::vector<double> qkv(numbers.begin(), numbers.end());
  auto wanted = poisoned<double>(at.B * at.T * at.NH * at.HS);
  auto lse = poisoned<double>(at.B * at.NH * at.T);
  attention_forward(On<Cpu, double>{}, {wanted.data(), lse.data(), qkv.data(), nullptr, true,
                                        nullptr, 0, 0.0, at.B, at.T, at.NH, at.HS});
  CAPTURE(at.B, at.T, at.NH, at.HS, at.capacity, pieces, sizeof(Real));
  CHECK(relative_error(decode<Real>(at, pieces), wanted) <= limit);
}

TEST_CASE("attention_decode on the GPU equals causal attention", "[gpu]") {
  const std::vector<std::vector<std::int64_t>> cuts = {{13}, {5, 1, 1, 6}, {12, 1}};
  for (const auto& pieces : cuts) {
    check<float>({2, 13, 3, 5, 13}, pieces, 1e-6);
    check<bf16>({1, 13, 2, 32, 20}, pieces, 3e-3);
  }
  check<float>({2, 67, 1, 64, 70}, {60, 1, 6}, 1e-6);
  check<bf16>({1, 35, 1, 130, 35}, {34, 1}, 3e-3);
}

TEST_CASE("attention_decode on the GPU: no bit depends on the cut or on the order of threads",
          "[gpu]") {
  const Sizes at = {2, 21, 2, 24, 24};
  const auto wanted = decode<float>(at, {21});
  for (int order = 0; order < kThreadOrders; ++order) {
    set_thread_order(order);
    CHECK(same_bits(decode<float>(at, {15, 1, 5}), wanted));
  }
  set_thread_order(0);
}

TEST_CASE("attention_decode on the GPU refuses what its cache cannot hold", "[gpu]") {
  CHECK_THROWS_WITH(decode<float>({1, 5, 1, 2, 4}, {5}),
                    Catch::Contains("5 positions do not fit a cache of 4"));
}

}  // namespace
}  // namespace masque::test
