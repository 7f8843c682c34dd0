#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kernels/attention.h"
#include "kernels/attention_fma.h"
#include "kernels/attention_tiled.h"
#include "kernels/philox.h"
#include "tests/support/arrays.h"
#include "tests/support/device_array.h"
#include "tests/support/gpu.h"
// After the engine's own headers.
#include "tests/support/catch.h"

namespace masque::test {
namespace {

struct Case {
  std::int64_t B, T, NH, HS;
  bool causal = false;
  std::vector<std::int32_t> lengths = {};  // empty: all T
  double p = 0;
};

const StepState kState = {.seed = 0x123456789abcdefu, .step = 3, .first_row = 5};
constexpr std::uint32_t kStream = stream_of(Purpose::attention, 2);

std::int64_t length_of(const Case& at, std::int64_t b) {
  return at.lengths.empty() ? at.T : at.lengths[static_cast<std::size_t>(b)];
}

template <class Real>
struct Inputs {
  std::vector<Real> qkv, dout;  // NaN past the lengths
};

template <class Real>
Inputs<Real> inputs_of(const Case& at, const std::string& name = "attention") {
  const auto nan = static_cast<Real>(std::numeric_limits<float>::quiet_NaN());
  const std::int64_t width = at.NH * at.HS;
  const auto floats = normal_array<float>(name, 3 * at.B * at.T * width);
  const auto dfloats = normal_array<float>(name + " dout", at.B * at.T * width);
  Inputs<Real> in;
  for (const float value : floats) in.qkv.push_back(static_cast<Real>(value));
  for (const float value : dfloats) in.dout.push_back(static_cast<Real>(value));
  for (std::int64_t b = 0; b < at.B; ++b) {
    const std::int64_t first = (b * at.T + length_of(at, b)) * width, end = (b + 1) * at.T * width;
    std::fill(in.qkv.begin() + 3 * first, in.qkv.begin() + 3 * end, nan);
    std::fill(in.dout.begin() + first, in.dout.begin() + end, nan);
  }
  return in;
}

template <class Real>
struct Result {
  std::vector<Real> out;
  std::vector<stat_t<Real>> lse;
  std::vector<Real> dqkv;
};

template <class Real>
bool same_bits(const Result<Real>& a, const Result<Real>& b) {
  return test::same_bits(a.out, b.out) && test::same_bits(a.lse, b.lse) &&
         test::same_bits(a.dqkv, b.dqkv);
}

// In f64, from the same numbers.
template <class Real>
Result<double> reference(const Case& at, const Inputs<Real>& in) {
  const std::vector<double> qkv(in.qkv.begin(), in.qkv.end()), dout(in.dout.begin(), in.dout.end());
  const std::int64_t count = at.B * at.T * at.NH * at.HS;
  Result<double> result{poisoned<double>(count), poisoned<double>(at.B * at.NH * at.T),
                        poisoned<double>(3 * count)};
  const std::int32_t* lengths = at.lengths.empty() ? nullptr : at.lengths.data();
  const StepState* state = at.p > 0 ? &kState : nullptr;
  attention_forward(On<Cpu, double>{}, {result.out.data(), result.lse.data(), qkv.data(), lengths,
                                        at.causal, state, kStream, at.p, at.B, at.T, at.NH, at.HS});
  attention_backward(On<Cpu, double>{}, {result.dqkv.data(), dout.data(), result.out.data(),
                                         result.lse.data(), qkv.data(), lengths, at.causal, state,
                                         kStream, at.p, at.B, at.T, at.NH, at.HS});
  return result;
}

enum class Path { chosen, fma, tiled };

template <class Real>
Result<Real> run(const Case& at, const Inputs<Real>& in, Path path = Path::chosen) {
  const std::int64_t count = at.B * at.T * at.NH * at.HS;
  const DeviceArray<Real> qkv(in.qkv), dout(in.dout), out(count), dqkv(3 * count);
  const DeviceArray<float> lse(at.B * at.NH * at.T);
  const DeviceArray<std::int32_t> lengths(at.lengths.empty() ? std::vector{0} : at.lengths);
  const DeviceArray<StepState> state(std::vector<StepState>{kState});
  const std::int32_t* lengths_or_null = at.lengths.empty() ? nullptr : lengths.data();
  const StepState* state_or_null = at.p > 0 ? state.data() : nullptr;
  const AttentionForward<Real> forward = {out.data(), lse.data(),    qkv.data(), lengths_or_null,
                                          at.causal,  state_or_null, kStream,    at.p,
                                          at.B,       at.T,          at.NH,      at.HS};
  const AttentionBackward<Real> backward = {
      dqkv.data(),   dout.data(), out.data(), lse.data(), qkv.data(), lengths_or_null, at.causal,
      state_or_null, kStream,     at.p,       at.B,       at.T,       at.NH,           at.HS};
  if (path == Path::fma) {
    attention_fma_forward(on_gpu<Real>(), forward);
    attention_fma_backward(on_gpu<Real>(), backward);
  } else if (path == Path::tiled) {
    if constexpr (std::is_same_v<Real, bf16>) {
      REQUIRE(attention_tiled_fits(forward));
      REQUIRE(attention_tiled_fits(backward));
      attention_tiled_forward(on_gpu<bf16>(), forward);
      attention_tiled_backward(on_gpu<bf16>(), backward);
    }
  } else {
    attention_forward(on_gpu<Real>(), forward);
    attention_backward(on_gpu<Real>(), backward);
  }
  return {out.read(), lse.read(), dqkv.read()};
}

// What may be lost to f32 sums, and to results and, on tensor cores, weights rounded to bf16.
template <class Real>
constexpr double kLimit = std::is_same_v<Real, bf16> ? 5e-3 : 1e-6;

template <class Real>
void check(const Case& at, Path path = Path::chosen) {
  const auto in = inputs_of<Real>(at);
  const Result<Real> got = run(at, in, path);
  const Result<double> wanted = reference(at, in);
  CAPTURE(at.B, at.T, at.NH, at.HS, at.causal, at.lengths, at.p, sizeof(Real));
  CHECK(relative_error(got.out, wanted.out) <= kLimit<Real>);
  CHECK(relative_error(got.lse, wanted.lse) <= 1e-6);
  CHECK(relative_error(got.dqkv, wanted.dqkv) <= kLimit<Real>);
}

TEST_CASE("attention in f32 arithmetic equals the CPU's f64, for any head size", "[gpu]") {
  const std::vector<Case> cases = {
      {1, 1, 1, 1},
      {2, 2, 1, 4, true, {}, 0.3},
      {1, 19, 3, 13, true},
      {2, 33, 1, 8, false, {33, 0}, 0.2},
      {2, 66, 1, 31, true, {17, 66}, 0.2},
      {1, 80, 1, 32, false, {}, 0.5},
      {1, 40, 1, 64, true, {39}},
      {1, 67, 1, 64, false, {}, 0.3},
      {1, 35, 1, 65, true},
      {1, 37, 1, 128, false, {}, 0.2},
      {2, 18, 1, 129, true, {3, 17}},
      {1, 20, 1, 256, false, {}, 0.1},
  };
  for (const Case& at : cases) {
    check<float>(at, Path::fma);
    check<bf16>(at, Path::fma);
  }
}

TEST_CASE("attention on tensor cores equals the CPU's f64, for every head size it takes", "[gpu]") {
  const std::vector<Case> cases = {
      {1, 1, 1, 32},
      {2, 2, 1, 32, true, {}, 0.3},
      {1, 129, 2, 32, true},
      {2, 131, 1, 32, false, {131, 0}, 0.2},
      {2, 150, 1, 64, true, {70, 150}, 0.2},
      {1, 200, 1, 64, false, {}, 0.5},
      {2, 64, 2, 64, true, {64, 1}},
      {1, 97, 1, 96, true, {}, 0.1},
      {2, 70, 1, 96, false, {33, 65}},
      {1, 130, 1, 128, true},
      {2, 67, 1, 128, false, {0, 66}, 0.3},
  };
  for (const Case& at : cases) check<bf16>(at, Path::tiled);
}

TEST_CASE("attention does not depend on the order of threads, nor on when copies land", "[gpu]") {
  const Case at = {2, 130, 1, 64, true, {130, 77}, 0.25};
  const auto half = inputs_of<bf16>(at);
  const auto single = inputs_of<float>(at);
  set_thread_order(0);
  const Result<bf16> tiled = run(at, half, Path::tiled);
  const Result<float> fma = run(at, single, Path::fma);
  for (int order = 1; order < kThreadOrders; ++order) {
    set_thread_order(order);
    CHECK(same_bits(run(at, half, Path::tiled), tiled));
    CHECK(same_bits(run(at, single, Path::fma), fma));
  }
  set_thread_order(0);
}

}  // namespace
}  // namespace masque::test
