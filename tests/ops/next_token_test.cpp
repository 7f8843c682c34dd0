#include "kernels/next_token.h"

#include <algorithm>
#include <vector>

#include "tests/support/catch.h"

namespace masque::test {
namespace {

constexpr std::int32_t kMask = 1, kStart = 2;

struct Prepared {
  std::vector<std::int32_t> inputs, targets;
  std::vector<double> weights;
};

// B rows of T, the first of which is row first_row of the effective batch.
Prepared prepare(std::int64_t B, std::int64_t T, double input_masking, std::uint32_t first_row = 0,
                 std::int32_t first_token = kStart) {
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(B * (T + 1)));
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = 4 + static_cast<std::int32_t>(i % 7);
  const auto N = static_cast<std::size_t>(B * T);
  Prepared result{std::vector<std::int32_t>(N), std::vector<std::int32_t>(N),
                  std::vector<double>(N)};
  const StepState state{.seed = 5, .step = 3, .first_row = first_row, .normaliser = 0.25};
  next_token(On<Cpu, double>{}, {.inputs = result.inputs.data(),
                                 .targets = result.targets.data(),
                                 .weights = result.weights.data(),
                                 .tokens = tokens.data(),
                                 .lengths = nullptr,
                                 .state = &state,
                                 .first_token = first_token,
                                 .input_masking = input_masking,
                                 .mask_token = kMask,
                                 .B = B,
                                 .T = T});
  return result;
}

TEST_CASE("next_token shifts by one", "[cpu]") {
  const Prepared started = prepare(2, 3, 0);
  CHECK(started.inputs == std::vector<std::int32_t>{2, 4, 5, 2, 7, 8});
  CHECK(started.targets == std::vector<std::int32_t>{4, 5, 6, 7, 8, 9});
  CHECK(started.weights == std::vector<double>(6, 0.25));
  const Prepared bare = prepare(2, 3, 0, 0, -1);
  CHECK(bare.inputs == std::vector<std::int32_t>{4, 5, 6, 8, 9, 10});
  CHECK(bare.targets == std::vector<std::int32_t>{5, 6, 7, 9, 10, 4});
}

TEST_CASE("Input masking hides inputs alone, and never [START]", "[cpu]") {
  constexpr std::int64_t B = 200, T = 50;
  const Prepared plain = prepare(B, T, 0), masked = prepare(B, T, 0.15);
  CHECK(masked.targets == plain.targets);
  CHECK(masked.weights == plain.weights);
  std::int64_t hidden = 0;
  for (std::size_t i = 0; i < plain.inputs.size(); ++i) {
    if (i % T == 0) CHECK(masked.inputs[i] == kStart);
    if (masked.inputs[i] == plain.inputs[i]) continue;
    CHECK(masked.inputs[i] == kMask);
    ++hidden;
  }
  // 9800 draws: within four standard errors.
  CHECK(static_cast<double>(hidden) / (B * (T - 1)) == Approx(0.15).margin(0.0145));
}

TEST_CASE("Micro-batches mask the inputs of one large batch", "[cpu]") {
  const Prepared whole = prepare(6, 10, 0.5);
  const Prepared part = prepare(2, 10, 0.5, 4);
  for (std::size_t i = 0; i < part.inputs.size(); ++i) {
    CHECK((part.inputs[i] == kMask) == (whole.inputs[40 + i] == kMask));
  }
}

}  // namespace
}  // namespace masque::test
