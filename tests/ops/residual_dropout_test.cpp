#include "kernels/residual_dropout.h"

#include "kernels/philox.h"
#include "tests/support/arrays.h"
#include "tests/support/catch.h"

namespace masque::test {
namespace {

constexpr std::uint32_t kStream = stream_of(Purpose::dropout, 3);

StepState state_at(std::uint32_t step, std::uint32_t first_row) {
  StepState state;
  state.seed = 0x1234567890abcdefULL;
  state.step = step;
  state.first_row = first_row;
  return state;
}

template <class Real>
std::vector<Real> forward(const std::vector<Real>& branch, const Real* residual, double p,
                          std::int64_t B, std::int64_t E, StepState state) {
  auto out = poisoned<Real>(B * E);
  residual_dropout_forward(On<Cpu, Real>{}, ResidualDropoutForward<Real>{.out = out.data(),
                                                                         .residual = residual,
                                                                         .branch = branch.data(),
                                                                         .state = &state,
                                                                         .stream = kStream,
                                                                         .p = p,
                                                                         .B = B,
                                                                         .E = E});
  return out;
}

TEMPLATE_TEST_CASE("residual_dropout keeps what its philox words say", "[cpu]", float, double) {
  for (const std::int64_t E : {1, 7, 256, 257, 1021}) {
    for (const double p : {0.0, 0.1, 0.75}) {
      const std::int64_t B = 3;
      const auto branch = normal_array<TestType>("branch", B * E);
      const auto residual = normal_array<TestType>("residual", B * E);
      const StepState state = state_at(9, 5);
      std::vector<double> dropped(static_cast<std::size_t>(B * E)), added(dropped.size());
      for (std::int64_t b = 0; b < B; ++b) {
        for (std::int64_t e = 0; e < E; ++e) {
          const std::uint32_t word = philox_word(state.seed, kStream, state.step,
                                                 state.first_row + static_cast<std::uint32_t>(b),
                                                 static_cast<std::uint64_t>(e));
          const bool keep = word >= threshold(p);
          dropped[b * E + e] = keep ? branch[b * E + e] / (1 - p) : 0;
          added[b * E + e] = residual[b * E + e] + dropped[b * E + e];
        }
      }
      CAPTURE(E, p);
      CHECK(relative_error(forward(branch, residual.data(), p, B, E, state), added) <
            kTolerance<TestType>);
      const TestType* none = nullptr;
      CHECK(relative_error(forward(branch, none, p, B, E, state), dropped) < kTolerance<TestType>);

      auto gradient = branch;  // in place
      residual_dropout_backward(On<Cpu, TestType>{},
                                ResidualDropoutBackward<TestType>{.dbranch = gradient.data(),
                                                                  .dout = gradient.data(),
                                                                  .state = &state,
                                                                  .stream = kStream,
                                                                  .p = p,
                                                                  .B = B,
                                                                  .E = E});
      CHECK(relative_error(gradient, dropped) < kTolerance<TestType>);
    }
  }
}

TEST_CASE("without dropout the state is not read", "[cpu]") {
  const auto branch = normal_array<float>("branch", 10);
  auto out = poisoned<float>(10);
  residual_dropout_forward(On<Cpu, float>{}, ResidualDropoutForward<float>{.out = out.data(),
                                                                           .residual = nullptr,
                                                                           .branch = branch.data(),
                                                                           .state = nullptr,
                                                                           .stream = kStream,
                                                                           .p = 0,
                                                                           .B = 2,
                                                                           .E = 5});
  CHECK(same_bits(out, branch));
}

TEST_CASE("dropout drops its share, and its mean is what it was", "[cpu]") {
  const std::int64_t B = 4, E = 50000;
  const std::vector<float> ones(static_cast<std::size_t>(B * E), 1);
  const float* none = nullptr;
  const auto out = forward(ones, none, 0.2, B, E, state_at(1, 0));
  double sum = 0;
  for (const float value : out) sum += value;
  // Six standard deviations of a mean of 2e5 draws.
  CHECK(std::abs(sum / static_cast<double>(B * E) - 1) < 6 * std::sqrt(0.25 / 2e5));
}

TEST_CASE("micro-batches drop what the whole batch would", "[cpu]") {
  const std::int64_t B = 6, E = 301;
  const auto branch = normal_array<float>("branch", B * E);
  const float* none = nullptr;
  const auto whole = forward(branch, none, 0.3, B, E, state_at(2, 0));
  std::vector<float> parts;
  for (std::uint32_t first = 0; first < B; first += 2) {
    const std::vector<float> rows(branch.begin() + first * E, branch.begin() + (first + 2) * E);
    const auto part = forward(rows, none, 0.3, 2, E, state_at(2, first));
    parts.insert(parts.end(), part.begin(), part.end());
  }
  CHECK(same_bits(parts, whole));
  CHECK_FALSE(same_bits(forward(branch, none, 0.3, B, E, state_at(3, 0)), whole));
}

TEST_CASE("dropout does not depend on the threads", "[cpu]") {
  const std::int64_t B = 7, E = 5003;
  const auto branch = normal_array<float>("branch", B * E);
  CHECK(same_for_any_threads(
      [&] { return forward(branch, branch.data(), 0.3, B, E, state_at(2, 0)); }));
  CHECK(same_for_any_threads(
      [&] { return forward(branch, branch.data(), 0, B, E, state_at(2, 0)); }));
}

}  // namespace
}  // namespace masque::test
