// gelu, swiglu and rope beside their definitions. Their gradients: the op cases.
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/bf16.h"
#include "kernels/gelu.h"
#include "kernels/rope.h"
#include "kernels/swiglu.h"
#include "tests/support/random.h"
// After the engine's own CHECK.
#include "tests/support/catch.h"
#include "tests/support/cpu_levels.h"

namespace masque::test {
namespace {

constexpr double kPi = 3.141592653589793;

std::vector<double> drawn(std::int64_t count) {
  std::vector<double> values = normals(29, count);
  for (double& value : values) value *= 3;
  return values;
}

}  // namespace

TEST_CASE("gelu is its definition", "[cpu]") {
  const std::vector<double> x = drawn(1000);
  std::vector<double> out(x.size());
  gelu_forward(On<Cpu, double>{}, {.out = out.data(), .x = x.data(), .n = 1000});
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double tanh = std::tanh(std::sqrt(2 / kPi) * (x[i] + 0.044715 * std::pow(x[i], 3)));
    CHECK(out[i] == Approx(x[i] / 2 * (1 + tanh)).epsilon(1e-12).margin(1e-14));
  }
}

// Values that whole vectors and the rest of a row meet alike: 7 of them, over and over.
template <class Real>
std::vector<Real> extremes(std::int64_t count) {
  constexpr float values[] = {-1e4f, -100, -20, std::numeric_limits<float>::quiet_NaN(),
                              20,    100,  1e4f};
  std::vector<Real> x;
  for (std::int64_t i = 0; i < count; ++i) x.push_back(Real(values[i % 7]));
  return x;
}

// x far above 0, 0 far below, and NaN of NaN.
template <class Real>
void check_extremes(const std::vector<Real>& x, const std::vector<Real>& out) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto from = static_cast<double>(x[i]), to = static_cast<double>(out[i]);
    CAPTURE(i, from);
    if (std::isnan(from)) {
      CHECK(std::isnan(to));
    } else {
      CHECK(to == Approx(from > 0 ? from : 0).margin(from == -20 ? 5e-8 : 1e-30));
    }
  }
}

template <class Real>
void check_gelu_and_swiglu_at_extremes() {
  constexpr std::int64_t count = 45;
  const std::vector<Real> x = extremes<Real>(count);
  std::vector<Real> out(x.size());
  gelu_forward(On<Cpu, Real>{}, {.out = out.data(), .x = x.data(), .n = count});
  check_extremes(x, out);
  std::vector<Real> gate_up = x;
  gate_up.resize(2 * x.size(), Real(1.0f));
  swiglu_forward(On<Cpu, Real>{},
                 {.out = out.data(), .gate_up = gate_up.data(), .N = 1, .F = count});
  check_extremes(x, out);
}

TEST_CASE("gelu and swiglu far from 0, and of NaN, at every level", "[cpu]") {
  at_every_cpu_level([] {
    check_gelu_and_swiglu_at_extremes<float>();
    check_gelu_and_swiglu_at_extremes<bf16>();
    check_gelu_and_swiglu_at_extremes<double>();
  });
}

TEST_CASE("swiglu is its definition", "[cpu]") {
  constexpr std::int64_t N = 5, F = 13;
  const std::vector<double> gate_up = drawn(N * 2 * F);
  std::vector<double> out(N * F);
  swiglu_forward(On<Cpu, double>{}, {.out = out.data(), .gate_up = gate_up.data(), .N = N, .F = F});
  for (std::size_t row = 0; row < N; ++row) {
    for (std::size_t f = 0; f < F; ++f) {
      const double gate = gate_up[row * 2 * F + f], up = gate_up[row * 2 * F + F + f];
      CHECK(out[row * F + f] == Approx(gate / (1 + std::exp(-gate)) * up).epsilon(1e-12));
    }
  }
}

TEST_CASE("rope turns the pairs (i, i + HS/2) of queries and keys by position, values not",
          "[cpu]") {
  constexpr std::size_t B = 2, T = 7, NH = 3, HS = 8, first = 5;
  const std::vector<double> before = drawn(B * T * 3 * NH * HS);
  std::vector<double> qkv = before;
  rope_forward(On<Cpu, double>{}, {.qkv = qkv.data(),
                                   .first_position = first,
                                   .theta = 10000,
                                   .B = B,
                                   .T = T,
                                   .NH = NH,
                                   .HS = HS});
  for (std::size_t head = 0; head < B * T * 3 * NH; ++head) {
    const std::size_t position = first + head / (3 * NH) % T;
    const bool value = head / NH % 3 == 2;
    for (std::size_t i = 0; i < HS / 2; ++i) {
      const std::size_t low = head * HS + i, high = low + HS / 2;
      const double turn = static_cast<double>(position) *
                          std::pow(10000, -2 * static_cast<double>(i) / static_cast<double>(HS));
      const double angle = value ? 0 : turn;
      const double cos = std::cos(angle), sin = std::sin(angle);
      CHECK(qkv[low] == Approx(before[low] * cos - before[high] * sin).margin(1e-12));
      CHECK(qkv[high] == Approx(before[high] * cos + before[low] * sin).margin(1e-12));
    }
  }
}

}  // namespace masque::test
