// Attention of one case, by each path through the GPU's kernels and in f64, from the same numbers.
#pragma once

#include <algorithm>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/attention.h"
#include "kernels/attention_fma.h"
#include "kernels/attention_short.h"
#include "kernels/attention_tiled.h"
#include "kernels/philox.h"
#include "tests/support/arrays.h"
#include "tests/support/device_array.h"
// After the engine's own headers.
#include "tests/support/catch.h"

namespace masque::test {

struct Case {
  std::int64_t B, T, NH, HS;
  bool causal = false;
  std::vector<std::int32_t> lengths = {};  // empty: all T
  double p = 0;
};

inline const StepState kState = {.seed = 0x123456789abcdefu, .step = 3, .first_row = 5};
constexpr std::uint32_t kStream = stream_of(Purpose::attention, 2);

inline std::int64_t length_of(const Case& at, std::int64_t b) {
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
  return same_bits(a.out, b.out) && same_bits(a.lse, b.lse) && same_bits(a.dqkv, b.dqkv);
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

enum class Path { chosen, fma, tiled, short_ };

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
  } else if (path == Path::short_) {
    if constexpr (std::is_same_v<Real, bf16>) {
      REQUIRE(attention_short_fits(forward));
      REQUIRE(attention_short_fits(backward));
      attention_short_forward(on_gpu<bf16>(), forward);
      attention_short_backward(on_gpu<bf16>(), backward);
    }
  } else {
    attention_forward(on_gpu<Real>(), forward);
    attention_backward(on_gpu<Real>(), backward);
  }
  return {out.read(), lse.read(), dqkv.read()};
}

}  // namespace masque::test
