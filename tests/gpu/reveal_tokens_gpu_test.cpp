// What a step reveals on the GPU: the CPU's ids to the bit, in every order of threads.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/reveal_tokens.h"
#include "tests/support/arrays.h"
#include "tests/support/device_array.h"
#include "tests/support/gpu.h"
// After the engine's own headers.
#include "tests/support/catch.h"

namespace masque::test {
namespace {

constexpr std::int32_t kMask = 1;
constexpr std::uint32_t kStep = 2;

// A step of n sequences.
struct Step {
  std::int64_t n, T;
  std::vector<std::int32_t> ids;          // (n,T)
  std::vector<double> confidence;         // (n,T) or empty
  std::vector<std::uint32_t> counts;      // (n)
  std::vector<std::uint32_t> due = {};    // (n,T) or empty
  std::vector<std::uint32_t> from = {};   // (n,T) or empty
  std::vector<std::int32_t> tokens = {};  // (n,T)
};

struct Revealed {
  std::vector<std::uint8_t> wanted;
  std::vector<std::int32_t> ids;
};

bool operator==(const Revealed& a, const Revealed& b) {
  return a.wanted == b.wanted && a.ids == b.ids;
}

template <class Device, class Real>
void run(On<Device, Real> on, const Step& step, std::uint8_t* wanted, std::int32_t* ids,
         const std::int32_t* tokens, const double* confidence, const std::uint32_t* counts,
         const std::uint32_t* due, const std::uint32_t* from, const std::uint32_t* number) {
  const bool ranked = !step.confidence.empty();
  wanted_positions(on, {.wanted = wanted,
                        .ids = ids,
                        .due = step.due.empty() ? nullptr : due,
                        .from = step.from.empty() ? nullptr : from,
                        .step = number,
                        .mask_token = kMask,
                        .n = step.n,
                        .T = step.T});
  reveal_tokens(on, {.ids = ids,
                     .tokens = tokens,
                     .confidence = ranked ? confidence : nullptr,
                     .wanted = wanted,
                     .counts = counts,
                     .n = step.n,
                     .T = step.T});
}

Revealed on_cpu(const Step& step) {
  Revealed result{std::vector<std::uint8_t>(step.ids.size(), 9), step.ids};
  run(On<Cpu, float>{}, step, result.wanted.data(), result.ids.data(), step.tokens.data(),
      step.confidence.data(), step.counts.data(), step.due.data(), step.from.data(), &kStep);
  return result;
}

template <class Value>
std::vector<Value> at_least_one(std::vector<Value> values) {
  if (values.empty()) values.resize(1);
  return values;
}

Revealed on_device(const Step& step) {
  const DeviceArray<std::uint8_t> wanted(step.ids.size());
  const DeviceArray<std::int32_t> ids(step.ids), tokens(step.tokens);
  const DeviceArray<double> confidence(at_least_one(step.confidence));
  const DeviceArray<std::uint32_t> counts(step.counts), due(at_least_one(step.due)),
      from(at_least_one(step.from));
  const DeviceArray<std::uint32_t> number(std::vector<std::uint32_t>{kStep});
  run(on_gpu<float>(), step, wanted.data(), ids.data(), tokens.data(), confidence.data(),
      counts.data(), due.data(), from.data(), number.data());
  return {wanted.read(), ids.read()};
}

// Ids in 1 … highest: one of `highest` is masked. levels: so many confidences differ; 0: all do.
Step random_step(std::int64_t n, std::int64_t T, std::int32_t highest, int levels) {
  Step step{n, T, integers(3, n * T, kMask, highest), normal_array<double>("confidence", n * T),
            std::vector<std::uint32_t>(static_cast<std::size_t>(n))};
  for (double& confidence : step.confidence) {
    confidence = 1 / (1 + std::exp(-confidence));
    if (levels > 0) confidence = std::floor(confidence * levels) / levels;
  }
  step.tokens = integers(4, n * T, 10, 99);
  return step;
}

void check(const Step& step) {
  CAPTURE(step.n, step.T, step.counts);
  const Revealed expected = on_cpu(step);
  for (int order = 0; order < kThreadOrders; ++order) {
    set_thread_order(order);
    CHECK(on_device(step) == expected);
  }
  set_thread_order(0);
}

TEST_CASE("GPU reveal_tokens reveals what the CPU does", "[gpu]") {
  for (const std::int64_t T : {1, 37, 256}) {
    for (const int levels : {0, 4, 1}) {              // distinct, tied, all equal
      for (const std::int32_t highest : {1, 2, 5}) {  // all masked, half, a fifth
        Step step = random_step(6, T, highest, levels);
        for (std::size_t b = 0; b < step.counts.size(); ++b) {
          const auto first = step.ids.begin() + static_cast<std::int64_t>(b) * T;
          const auto masked = static_cast<std::uint32_t>(std::count(first, first + T, kMask));
          const std::uint32_t all_but_one = std::max(masked, 1u) - 1;
          const std::uint32_t counts[] = {0, 1, masked / 3, all_but_one, masked, 2 * masked + 1};
          step.counts[b] = counts[b];
        }
        check(step);
      }
    }
  }
}

TEST_CASE("GPU reveal_tokens reveals what the CPU does in long sequences", "[gpu]") {
  for (const int levels : {0, 3}) {
    Step step = random_step(2, levels == 0 ? 1025 : 2051, 2, levels);
    step.counts = {1, 357};
    check(step);
  }
}

TEST_CASE("GPU reveal_tokens: nothing masked, nothing changes", "[gpu]") {
  Step step = random_step(3, 41, 2, 0);
  std::replace(step.ids.begin(), step.ids.end(), kMask, 5);
  step.counts = {0, 1, 41};
  CHECK(on_device(step).ids == step.ids);
  step.confidence.clear();
  CHECK(on_device(step).ids == step.ids);
}

TEST_CASE("GPU reveal_tokens: without confidences all that are due", "[gpu]") {
  for (const std::int64_t T : {41, 300}) {
    Step step = random_step(3, T, 2, 0);
    step.confidence.clear();
    check(step);
    for (const std::int32_t due : integers(6, 3 * T, 0, 3)) {
      step.due.push_back(static_cast<std::uint32_t>(due));
    }
    check(step);
    const Revealed some = on_device(step);
    for (std::size_t i = 0; i < some.ids.size(); ++i) {
      const bool turn = step.ids[i] == kMask && step.due[i] == kStep;
      CHECK(some.ids[i] == (turn ? step.tokens[i] : step.ids[i]));
    }
  }
}

TEST_CASE("GPU reveal_tokens: of ranked ones only those whose block has begun", "[gpu]") {
  Step step = random_step(3, 41, 2, 0);
  step.counts = {3, 41, 1};
  for (const std::int32_t from : integers(6, 3 * 41, 0, 4)) {
    step.from.push_back(static_cast<std::uint32_t>(from));
  }
  check(step);
  const Revealed some = on_device(step);
  for (std::size_t i = 0; i < some.ids.size(); ++i) {
    CHECK(some.wanted[i] == (step.ids[i] == kMask && step.from[i] <= kStep ? 1 : 0));
    if (step.from[i] > kStep) CHECK(some.ids[i] == step.ids[i]);
  }
}

TEST_CASE("GPU reveal_tokens tells apart what differs by a bit, and not the zeros", "[gpu]") {
  Step step = random_step(1, 8, 1, 0);
  step.counts = {3};
  const double next = std::nextafter(0.5, 1), least = std::numeric_limits<double>::denorm_min();
  for (const std::vector<double>& confidence :
       {std::vector<double>{0.5, 0.5, next, 0.5, next, 0.5, 0.5, next},
        {0.5, 0.5, next, 0.5, next, 0.5, 0.5, 0.5},
        {-0.0, 0.0, -0.0, 0.0, 0.0, 0.0, 0.0, 0.0},
        {0, 0, 0, 0, 0, 0, least, 0},
        {-1, -2, -0.5, -3, -least, -4, -5, -6},
        {1, 1, 1, 1, 1, 1, 1, 1}}) {
    step.confidence = confidence;
    check(step);
  }
}

}  // namespace
}  // namespace masque::test
