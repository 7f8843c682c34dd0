#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "kernels/philox.h"
#include "tests/support/arrays.h"
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

template <class Real>
struct Result {
  std::vector<Real> out, lse, dqkv;
};

std::int64_t length_of(const Case& at, std::int64_t b) {
  return at.lengths.empty() ? at.T : at.lengths[b];
}

template <class Real>
Result<Real> run(const Case& at, const std::vector<Real>& qkv, const std::vector<Real>& dout) {
  const std::int64_t count = at.B * at.T * at.NH * at.HS;
  Result<Real> result{poisoned<Real>(count), poisoned<Real>(at.B * at.NH * at.T),
                      poisoned<Real>(3 * count)};
  const std::int32_t* lengths = at.lengths.empty() ? nullptr : at.lengths.data();
  const StepState* state = at.p > 0 ? &kState : nullptr;
  attention_forward(On<Cpu, Real>{}, {result.out.data(), result.lse.data(), qkv.data(), lengths,
                                      at.causal, state, kStream, at.p, at.B, at.T, at.NH, at.HS});
  attention_backward(On<Cpu, Real>{}, {result.dqkv.data(), dout.data(), result.out.data(),
                                       result.lse.data(), qkv.data(), lengths, at.causal, state,
                                       kStream, at.p, at.B, at.T, at.NH, at.HS});
  return result;
}

// By the definition, in f64, one head at a time with its whole T·T matrix.
template <class Real>
Result<double> naive(const Case& at, const std::vector<Real>& qkv, const std::vector<Real>& dout) {
  const std::int64_t T = at.T, HS = at.HS, width = at.NH * HS;
  Result<double> result{std::vector<double>(at.B * T * width),
                        std::vector<double>(at.B * at.NH * T),
                        std::vector<double>(3 * at.B * T * width)};
  const double scale = 1 / std::sqrt(static_cast<double>(HS));
  for (std::int64_t b = 0; b < at.B; ++b) {
    for (std::int64_t head = 0; head < at.NH; ++head) {
      const auto in = [&](std::int64_t t, std::int64_t part, std::int64_t d) {
        return ((b * T + t) * 3 + part) * width + head * HS + d;
      };
      const std::int64_t length = length_of(at, b);
      for (std::int64_t i = 0; i < length; ++i) {
        const std::int64_t visible = at.causal ? i + 1 : length;
        const std::int64_t first_out = (b * T + i) * width + head * HS;
        std::vector<double> weight(visible), keep(visible, 1.0), dkept(visible);
        double sum = 0, delta = 0;
        for (std::int64_t j = 0; j < visible; ++j) {
          double dot = 0;
          for (std::int64_t d = 0; d < HS; ++d) {
            dot += static_cast<double>(qkv[in(i, 0, d)]) * qkv[in(j, 1, d)];
          }
          weight[j] = std::exp(dot * scale);
          sum += weight[j];
          if (at.p > 0) {
            const std::uint32_t word = philox_word(
                kState.seed, kStream, kState.step, kState.first_row + static_cast<std::uint32_t>(b),
                static_cast<std::uint64_t>((head * T + i) * T + j));
            keep[j] = word >= threshold(at.p) ? 1 / (1 - at.p) : 0;
          }
        }
        result.lse[(b * at.NH + head) * T + i] = std::log(sum);
        for (std::int64_t j = 0; j < visible; ++j) {
          weight[j] /= sum;
          for (std::int64_t d = 0; d < HS; ++d) {
            result.out[first_out + d] += keep[j] * weight[j] * qkv[in(j, 2, d)];
            result.dqkv[in(j, 2, d)] += keep[j] * weight[j] * dout[first_out + d];
            dkept[j] += keep[j] * dout[first_out + d] * qkv[in(j, 2, d)];
          }
          delta += weight[j] * dkept[j];
        }
        for (std::int64_t j = 0; j < visible; ++j) {
          const double dscore = weight[j] * (dkept[j] - delta) * scale;
          for (std::int64_t d = 0; d < HS; ++d) {
            result.dqkv[in(i, 0, d)] += dscore * qkv[in(j, 1, d)];
            result.dqkv[in(j, 1, d)] += dscore * qkv[in(i, 0, d)];
          }
        }
      }
    }
  }
  return result;
}

template <class Real>
std::vector<Real> qkv_of(const Case& at) {
  return normal_array<Real>("qkv", 3 * at.B * at.T * at.NH * at.HS);
}

template <class Real>
std::vector<Real> dout_of(const Case& at) {
  return normal_array<Real>("dout", at.B * at.T * at.NH * at.HS);
}

template <class Real>
void check(const Case& at) {
  const auto qkv = qkv_of<Real>(at), dout = dout_of<Real>(at);
  const Result<Real> got = run<Real>(at, qkv, dout);
  const Result<double> wanted = naive(at, qkv, dout);
  CAPTURE(at.B, at.T, at.NH, at.HS, at.causal, at.lengths, at.p, sizeof(Real));
  CHECK(relative_error(got.out, wanted.out) <= kTolerance<Real>);
  CHECK(relative_error(got.lse, wanted.lse) <= kTolerance<Real>);
  CHECK(relative_error(got.dqkv, wanted.dqkv) <= kTolerance<Real>);
}

TEST_CASE("attention equals its definition, forward and backward", "[cpu]") {
  const std::vector<Case> sizes = {{1, 1, 1, 1},    {2, 2, 1, 3},   {2, 7, 3, 5},   {1, 13, 2, 7},
                                   {2, 33, 2, 8},   {1, 67, 3, 16}, {2, 64, 1, 32}, {1, 97, 2, 33},
                                   {1, 131, 1, 64}, {1, 40, 1, 65}, {1, 45, 1, 128}};
  for (Case at : sizes) {
    for (const bool causal : {false, true}) {
      for (const double p : {0.0, 0.3}) {
        at.causal = causal;
        at.p = p;
        check<float>(at);
        check<double>(at);
      }
    }
  }
}

TEST_CASE("attention minds the lengths", "[cpu]") {
  for (const bool causal : {false, true}) {
    for (const double p : {0.0, 0.2}) {
      check<double>({4, 7, 2, 3, causal, {0, 1, 4, 7}, p});
      check<float>({4, 67, 2, 8, causal, {0, 1, 33, 67}, p});
      check<float>({3, 40, 1, 32, causal, {39, 32, 16}, p});
    }
  }
}

TEST_CASE("attention neither reads nor fills what lies past a length", "[cpu]") {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  const Case at = {2, 37, 2, 5, false, {0, 20}};
  const std::int64_t width = at.NH * at.HS;
  auto qkv = qkv_of<float>(at), dout = dout_of<float>(at);
  for (std::int64_t b = 0; b < at.B; ++b) {
    for (std::int64_t t = length_of(at, b); t < at.T; ++t) {
      std::fill_n(qkv.begin() + (b * at.T + t) * 3 * width, 3 * width, nan);
      std::fill_n(dout.begin() + (b * at.T + t) * width, width, nan);
    }
  }
  const Result<float> got = run(at, qkv, dout);
  const auto finite = [](float value) { return std::isfinite(value); };
  CHECK(std::all_of(got.out.begin(), got.out.end(), finite));
  CHECK(std::all_of(got.lse.begin(), got.lse.end(), finite));
  CHECK(std::all_of(got.dqkv.begin(), got.dqkv.end(), finite));
  CHECK(std::count(got.out.begin(), got.out.end(), 0.0f) == (37 + 17) * width);
  CHECK(std::count(got.lse.begin(), got.lse.end(), 0.0f) == (37 + 17) * at.NH);
  CHECK(std::count(got.dqkv.begin(), got.dqkv.end(), 0.0f) == (37 + 17) * 3 * width);
}

// Whether row i of `b` differs between two outputs.
bool differs(const Case& at, const std::vector<float>& x, const std::vector<float>& y,
             std::int64_t b, std::int64_t i) {
  const std::int64_t width = at.NH * at.HS, first = (b * at.T + i) * width;
  return !std::equal(x.begin() + first, x.begin() + first + width, y.begin() + first);
}

TEST_CASE("a position changes exactly the outputs that may see it", "[cpu]") {
  for (const bool causal : {false, true}) {
    const Case at = {2, 35, 1, 8, causal, {35, 21}};
    const auto qkv = qkv_of<float>(at), dout = dout_of<float>(at);
    const auto before = run(at, qkv, dout).out;
    int wrong = 0;
    for (std::int64_t b = 0; b < at.B; ++b) {
      for (std::int64_t j = 0; j < at.T; ++j) {
        auto changed = qkv;
        const std::int64_t first = (b * at.T + j) * 3 * at.HS;
        for (std::int64_t d = 0; d < 3 * at.HS; ++d) changed[first + d] += 1;
        const auto after = run(at, changed, dout).out;
        for (std::int64_t row = 0; row < at.B; ++row) {
          for (std::int64_t i = 0; i < at.T; ++i) {
            const bool sees =
                row == b && i < length_of(at, b) && j < length_of(at, b) && (!causal || j <= i);
            wrong += differs(at, before, after, row, i) != sees;
          }
        }
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("attention dropout keeps the mean and drops a share p", "[cpu]") {
  // Equal scores and values of 1: out_i is the share kept over 1 − p.
  const Case at = {4, 101, 2, 4, false, {}, 0.25};
  std::vector<float> qkv(3 * at.B * at.T * at.NH * at.HS, 0.0f);
  const std::int64_t width = at.NH * at.HS;
  for (std::int64_t row = 0; row < at.B * at.T; ++row) {
    std::fill_n(qkv.begin() + (row * 3 + 2) * width, width, 1.0f);
  }
  const auto out = run(at, qkv, dout_of<float>(at)).out;
  double sum = 0, squares = 0;
  const auto rows = static_cast<double>(at.B * at.T * at.NH);
  for (std::size_t i = 0; i < out.size(); i += at.HS) {
    sum += out[i];
    squares += (out[i] - 1.0) * (out[i] - 1.0);
  }
  const double variance = at.p / (1 - at.p) / static_cast<double>(at.T);  // of one row
  CHECK(std::abs(sum / rows - 1) <= 4 * std::sqrt(variance / rows));
  CHECK(squares / rows == Approx(variance).epsilon(0.2));
}

TEST_CASE("attention dropout follows the global row, not the micro-batch", "[cpu]") {
  const Case both = {2, 19, 2, 4, true, {}, 0.5};
  const Case one = {1, 19, 2, 4, true, {}, 0.5};
  const auto qkv = qkv_of<float>(both);
  const std::int64_t half = one.T * one.NH * one.HS;
  auto out = poisoned<float>(2 * half), second = poisoned<float>(half);
  std::vector<float> lse(2 * one.NH * one.T);
  attention_forward(On<Cpu, float>{}, {out.data(), lse.data(), qkv.data(), nullptr, true, &kState,
                                       kStream, 0.5, both.B, both.T, both.NH, both.HS});
  StepState later = kState;
  later.first_row += 1;
  attention_forward(On<Cpu, float>{}, {second.data(), lse.data(), qkv.data() + 3 * half, nullptr,
                                       true, &later, kStream, 0.5, one.B, one.T, one.NH, one.HS});
  CHECK(std::equal(second.begin(), second.end(), out.begin() + half));
}

TEST_CASE("attention survives scores far beyond exp's range", "[cpu]") {
  Case at = {1, 9, 1, 4};
  auto qkv = qkv_of<float>(at);
  for (float& value : qkv) value *= 100;
  const Result<float> got = run(at, qkv, dout_of<float>(at));
  for (const auto* values : {&got.out, &got.lse, &got.dqkv}) {
    CHECK(std::all_of(values->begin(), values->end(), [](float v) { return std::isfinite(v); }));
  }
}

TEST_CASE("attention gives the same bits for any number of threads", "[cpu]") {
  for (const bool causal : {false, true}) {
    const Case at = {3, 70, 3, 24, causal, {70, 11, 64}, 0.1};
    CHECK(same_for_any_threads([&at] {
      const Result<float> got = run(at, qkv_of<float>(at), dout_of<float>(at));
      std::vector<float> all = got.out;
      all.insert(all.end(), got.lse.begin(), got.lse.end());
      all.insert(all.end(), got.dqkv.begin(), got.dqkv.end());
      return all;
    }));
  }
}

// The process's largest resident size since the last reset, in MiB.
double peak_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return std::stod(line.substr(6)) / 1024;
  }
  return 0;
}

TEST_CASE("attention's memory is linear in T", "[cpu]") {
#ifdef __SANITIZE_ADDRESS__
  WARN("skipped: AddressSanitizer keeps freed memory, so that a peak says nothing");
  return;
#endif
  // One T·T matrix would be 64 MiB; the C library maps what is so large afresh, so that it shows
  // in the peak even where earlier tests left free memory.
  const Case at = {1, 4096, 2, 8, true};
  const auto qkv = qkv_of<float>(at), dout = dout_of<float>(at);
  Result<float> result{poisoned<float>(at.T * 16), poisoned<float>(at.T * 2),
                       poisoned<float>(at.T * 48)};
  std::ofstream("/proc/self/clear_refs") << "5" << std::flush;  // the peak is the present again
  const double before = peak_mib();
  with_threads(2, [&] {
    attention_forward(On<Cpu, float>{}, {result.out.data(), result.lse.data(), qkv.data(), nullptr,
                                         true, nullptr, 0, 0.0, at.B, at.T, at.NH, at.HS});
    attention_backward(On<Cpu, float>{},
                       {result.dqkv.data(), dout.data(), result.out.data(), result.lse.data(),
                        qkv.data(), nullptr, true, nullptr, 0, 0.0, at.B, at.T, at.NH, at.HS});
    return 0;
  });
  CHECK(peak_mib() - before < 16);
  std::vector<char> matrix(static_cast<std::size_t>(at.T * at.T) * sizeof(float), 1);
  CHECK(peak_mib() - before > 48);  // the measure does see a matrix
  CHECK(matrix.back() == 1);
}

}  // namespace
}  // namespace masque::test
