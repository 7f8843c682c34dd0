#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <vector>

#include "kernels/classifier_loss.h"
#include "kernels/linear.h"
#include "kernels/masked_cross_entropy.h"
#include "tests/support/arrays.h"
#include "tests/support/device_array.h"
#include "tests/support/gpu.h"
// After the engine's own headers.
#include "tests/support/catch.h"

namespace masque::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::int64_t kTileRows = 64, kWarpRows = 16;            // of the fused kernel
const std::vector<std::int64_t> kCountsBefore = {5, 3000000000};  // added to

// Every third row weighs nothing, and so does a whole warp of the first tile and the whole second
// tile: their targets must stay unread.
template <class Real>
struct Problem {
  Problem(std::int64_t rows, std::int64_t width, std::int64_t entries, bool exclude,
          const std::string& name = "classifier")
      : N(rows),
        C(width),
        V(entries),
        hidden(normal_array<Real>(name + " hidden", N * C)),
        head(normal_array<Real>(name + " head", V * C, 2 / std::sqrt(static_cast<double>(C)))),
        targets(integers(3, N, 0, static_cast<std::int32_t>(V) - 1)) {
    if (exclude && V > 2) excluded.resize(static_cast<std::size_t>(V));
    for (std::size_t v = 0; v < excluded.size(); v += 3) excluded[v] = 1;
    targets[0] = 0;
    targets[N - 1] = static_cast<std::int32_t>(V) - 1;
    const std::vector<double> drawn = normals(4, N);
    for (std::int64_t n = 0; n < N; ++n) {
      if (!excluded.empty() && excluded[targets[n]]) targets[n] = 1;
      const bool weighs = n % 3 != 1 && n / kWarpRows != 1 && n / kTileRows != 1;
      weights.push_back(weighs ? static_cast<float>(0.1 + drawn[n] * drawn[n]) : 0);
      if (!weighs) targets[n] = -7;
    }
  }

  std::int64_t N, C, V;
  std::vector<Real> hidden, head;
  std::vector<std::int32_t> targets;
  std::vector<float> weights;
  std::vector<std::uint8_t> excluded;
};

struct Result {
  double loss = 2;  // added to
  std::vector<std::int64_t> counts = kCountsBefore;
  std::vector<double> nll, dlogits, dhidden, dhead;
  std::vector<std::int32_t> correct;

  bool operator==(const Result& other) const {
    return loss == other.loss && counts == other.counts && correct == other.correct &&
           same_bits(nll, other.nll) && same_bits(dlogits, other.dlogits) &&
           same_bits(dhidden, other.dhidden) && same_bits(dhead, other.dhead);
  }
};

template <class Type>
std::vector<double> doubles(const std::vector<Type>& values) {
  return {values.begin(), values.end()};
}

// dlogits as the backward gets it, padding and all.
template <class Real>
Result run(const Problem<Real>& problem, bool with_gradient = true) {
  const auto rows = static_cast<std::size_t>(problem.N);
  const DeviceArray<double> loss(std::vector<double>{2});
  const DeviceArray<std::int64_t> counts(kCountsBefore);
  const DeviceArray<float> nll(rows), weights(problem.weights),
      dhead(normal_array<float>("before", problem.V * problem.C));
  const DeviceArray<std::int32_t> correct(rows), targets(problem.targets);
  const DeviceArray<Real> hidden(problem.hidden), head(problem.head),
      dhidden(problem.hidden.size()),
      dlogits(rows * static_cast<std::size_t>(classifier_loss_room(problem.V)));
  const DeviceArray<std::uint8_t> excluded(problem.excluded.empty() ? std::vector<std::uint8_t>(1)
                                                                    : problem.excluded);
  classifier_loss_forward(
      on_gpu<Real>(),
      ClassifierLossForward<Real>{.loss = loss.data(),
                                  .counts = counts.data(),
                                  .nll = nll.data(),
                                  .correct = correct.data(),
                                  .dhidden = with_gradient ? dhidden.data() : nullptr,
                                  .dlogits = dlogits.data(),
                                  .hidden = hidden.data(),
                                  .head = head.data(),
                                  .targets = targets.data(),
                                  .weights = weights.data(),
                                  .excluded = problem.excluded.empty() ? nullptr : excluded.data(),
                                  .N = problem.N,
                                  .C = problem.C,
                                  .V = problem.V});
  Result result;
  result.loss = loss.read()[0];
  result.counts = counts.read();
  result.nll = doubles(nll.read());
  result.correct = correct.read();
  if (!with_gradient) return result;
  classifier_loss_backward(on_gpu<Real>(), ClassifierLossBackward<Real>{.dhead = dhead.data(),
                                                                        .dlogits = dlogits.data(),
                                                                        .hidden = hidden.data(),
                                                                        .N = problem.N,
                                                                        .C = problem.C,
                                                                        .V = problem.V});
  result.dlogits = doubles(dlogits.read());
  result.dhidden = doubles(dhidden.read());
  result.dhead = doubles(dhead.read());
  return result;
}

// The CPU in f64, from the same numbers. dlogits dense.
template <class Real>
Result reference(const Problem<Real>& problem) {
  const std::int64_t N = problem.N, C = problem.C, V = problem.V;
  const std::vector<double> hidden = doubles(problem.hidden), head = doubles(problem.head),
                            weights = doubles(problem.weights);
  Result result;
  result.nll = poisoned<double>(N);
  result.correct.resize(result.nll.size());
  result.dlogits = poisoned<double>(N * classifier_loss_room(V));
  result.dhidden = poisoned<double>(N * C);
  result.dhead = doubles(normal_array<float>("before", V * C));
  const On<Cpu, double> on;
  classifier_loss_forward(on,
                          {.loss = &result.loss,
                           .counts = result.counts.data(),
                           .nll = result.nll.data(),
                           .correct = result.correct.data(),
                           .dhidden = result.dhidden.data(),
                           .dlogits = result.dlogits.data(),
                           .hidden = hidden.data(),
                           .head = head.data(),
                           .targets = problem.targets.data(),
                           .weights = weights.data(),
                           .excluded = problem.excluded.empty() ? nullptr : problem.excluded.data(),
                           .N = N,
                           .C = C,
                           .V = V});
  classifier_loss_backward(on, {.dhead = result.dhead.data(),
                                .dlogits = result.dlogits.data(),
                                .hidden = hidden.data(),
                                .N = N,
                                .C = C,
                                .V = V});
  result.dlogits.resize(static_cast<std::size_t>(N * V));
  return result;
}

// Rows of V out of rows of room for V; the rest must be 0.
std::vector<double> without_padding(const std::vector<double>& padded, std::int64_t V) {
  std::vector<double> values;
  const auto width = static_cast<std::size_t>(classifier_loss_room(V));
  for (std::size_t i = 0; i < padded.size(); ++i) {
    if (i % width < static_cast<std::size_t>(V)) {
      values.push_back(padded[i]);
    } else {
      CHECK(padded[i] == 0);
    }
  }
  return values;
}

template <class Real>
void check_against_cpu(const Problem<Real>& problem) {
  CAPTURE(problem.N, problem.C, problem.V, problem.excluded.size());
  constexpr bool kHalf = sizeof(Real) == 2;
  constexpr double tolerance = kTolerance<float>, gradient_tolerance = kHalf ? 4e-3 : tolerance;
  const bool fused = kHalf && problem.V <= 256 && problem.C % 16 == 0;
  const Result expected = reference(problem), result = run(problem);
  CHECK(std::abs(result.loss - expected.loss) <= tolerance * expected.loss);
  CHECK(result.counts == expected.counts);
  CHECK(result.correct == expected.correct);
  if (problem.V > 1) {  // else all zeros
    CHECK(relative_error(result.nll, expected.nll) < tolerance);
    CHECK(relative_error(result.dhidden, expected.dhidden) < gradient_tolerance);
    CHECK(relative_error(result.dhead, expected.dhead) < gradient_tolerance);
  }
  if (fused) {
    const std::vector<double> dlogits = without_padding(result.dlogits, problem.V);
    if (problem.V > 1) CHECK(relative_error(dlogits, expected.dlogits) < gradient_tolerance);
    for (std::int64_t n = 0; n < problem.N; ++n) {
      if (problem.weights[n] != 0) continue;
      CHECK(std::all_of(dlogits.begin() + n * problem.V, dlogits.begin() + (n + 1) * problem.V,
                        [](double value) { return value == 0; }));
      CHECK(std::all_of(result.dhidden.begin() + n * problem.C,
                        result.dhidden.begin() + (n + 1) * problem.C,
                        [](double value) { return value == 0; }));
    }
  }
  const Result inference = run(problem, false);
  CHECK(inference.loss == result.loss);
  CHECK(inference.counts == result.counts);
  CHECK(inference.correct == result.correct);
  CHECK(same_bits(inference.nll, result.nll));
}

}  // namespace

TEST_CASE("GPU classifier_loss, fused: every width and vocabulary equals the CPU's in f64",
          "[gpu]") {
  for (const std::int64_t V : {1, 5, 69, 128, 129, 256}) {
    for (const std::int64_t C : {16, 48, 128, 384}) {
      check_against_cpu(Problem<bf16>(37, C, V, C % 3 != 0));
    }
  }
}

TEST_CASE("GPU classifier_loss, fused: parts of a tile, tiles and what lies between", "[gpu]") {
  for (const std::int64_t N : {1, 2, 17, 63, 64, 65, 127, 193}) {
    check_against_cpu(Problem<bf16>(N, 80, 69, N % 2 == 1));
  }
}

TEST_CASE("GPU classifier_loss, f32: as the CPU", "[gpu]") {
  check_against_cpu(Problem<float>(131, 48, 69, true));
  check_against_cpu(Problem<float>(7, 13, 300, false));
}

TEST_CASE("GPU classifier_loss, bf16: shapes that are not fused go by parts", "[gpu]") {
  const std::vector<std::array<std::int64_t, 2>> sizes = {{13, 69}, {24, 69}, {16, 257}};
  for (const auto& [C, V] : sizes) {
    const Problem<bf16> problem(37, C, V, true);
    const Result result = run(problem), expected = reference(problem);
    CAPTURE(C, V);
    CHECK(relative_error(result.nll, expected.nll) < 4e-3);
    CHECK(relative_error(result.dhidden, expected.dhidden) < 8e-3);
    CHECK(relative_error(result.dhead, expected.dhead) < 8e-3);
    CHECK(result.counts[0] == expected.counts[0]);
  }
}

TEST_CASE("GPU classifier_loss: no order of threads and no repetition shows", "[gpu]") {
  for (const Problem<bf16>& problem :
       {Problem<bf16>(161, 144, 69, true), Problem<bf16>(67, 48, 256, false)}) {
    const Result first = run(problem);
    for (int order = 0; order < kThreadOrders; ++order) {
      set_thread_order(order);
      CHECK(run(problem) == first);
    }
    set_thread_order(0);
  }
}

TEST_CASE("GPU classifier_loss: what rows of weight 0 hold does not show", "[gpu]") {
  Problem<bf16> problem(150, 48, 69, true);
  const Result expected = run(problem);
  for (std::int64_t n = 0; n < problem.N; ++n) {
    if (problem.weights[n] == 0)
      std::fill_n(problem.hidden.begin() + n * problem.C, problem.C, bf16(kNan));
  }
  const Result result = run(problem);
  CHECK(result.loss == expected.loss);
  CHECK(same_bits(result.nll, expected.nll));
  CHECK(same_bits(result.dlogits, expected.dlogits));
  CHECK(same_bits(result.dhidden, expected.dhidden));
  problem = Problem<bf16>(70, 48, 69, true);
  std::fill(problem.weights.begin(), problem.weights.end(), 0.0f);
  std::fill(problem.hidden.begin(), problem.hidden.end(), bf16(kNan));
  const Result nothing = run(problem);
  CHECK(nothing.loss == 2);
  CHECK(nothing.counts == kCountsBefore);
  for (const auto* zeros : {&nothing.nll, &nothing.dlogits, &nothing.dhidden}) {
    CHECK(std::all_of(zeros->begin(), zeros->end(), [](double value) { return value == 0; }));
  }
}

// Row n of hidden is 4096 at one column, so logits are numbers of head times 4096: no sum rounds.
Problem<bf16> large_logits(std::int64_t V) {
  Problem<bf16> problem(37, 32, V, false);
  std::fill(problem.hidden.begin(), problem.hidden.end(), bf16(0));
  for (std::int64_t n = 0; n < problem.N; ++n) {
    problem.hidden[n * problem.C + n % problem.C] = bf16(4096);
  }
  return problem;
}

TEST_CASE("GPU classifier_loss: large logits do not overflow, ties go to the lowest id", "[gpu]") {
  for (const std::int64_t V : {69, 200}) {
    Problem<bf16> problem = large_logits(V);
    check_against_cpu(problem);
    const auto last = static_cast<std::int32_t>(V - 1);
    for (std::int64_t c = 0; c < problem.C; ++c) {
      for (const std::int64_t v : {std::int64_t{2}, V - 1})
        problem.head[v * problem.C + c] = bf16(9);
    }
    problem.weights[0] = problem.weights[3] = 1;
    problem.targets[0] = last;
    problem.targets[3] = 2;
    const Result tie = run(problem);
    const std::int64_t width = classifier_loss_room(V);
    CHECK(tie.nll[0] == Approx(std::log(2.0)));
    CHECK(tie.correct[0] == 0);
    CHECK(tie.correct[3] == 1);
    CHECK(tie.dlogits[2] == 0.5);
    CHECK(tie.dlogits[last] == -0.5);
    CHECK(tie.dlogits[3 * width + 2] == -0.5);
    check_against_cpu(problem);
  }
}

TEST_CASE("GPU classifier_loss: what is not a number shows in the loss", "[gpu]") {
  const Problem<bf16> sound(37, 32, 69, true);
  for (const float bad : {kNan, kInfinity, -kInfinity}) {
    Problem<bf16> problem = sound;
    problem.hidden[6 * problem.C + 5] = bf16(bad);
    REQUIRE(problem.weights[6] != 0);
    const Result result = run(problem), expected = run(sound);
    CHECK_FALSE(std::isfinite(result.loss));
    CHECK_FALSE(std::isfinite(result.nll[6]));
    CHECK_FALSE(std::isfinite(result.dhidden[6 * problem.C]));
    CHECK(result.nll[3] == expected.nll[3]);  // another row of the warp
    problem = sound;
    problem.head[7 * problem.C] = bf16(bad);
    const Result broken = run(problem);
    CHECK_FALSE(std::isfinite(broken.loss));
    REQUIRE(problem.weights[1] == 0);
    CHECK(broken.dlogits[classifier_loss_room(problem.V)] == 0);
    problem = sound;
    problem.head[6 * problem.C] = bf16(bad);  // excluded
    REQUIRE(problem.excluded[6] == 1);
    CHECK(run(problem, false).loss == expected.loss);
  }
  Problem<bf16> nothing_left = sound;
  std::fill(nothing_left.excluded.begin(), nothing_left.excluded.end(), std::uint8_t{1});
  CHECK(std::isnan(run(nothing_left).loss));
}

TEST_CASE("GPU classifier_loss refuses addresses that packs do not fit", "[gpu]") {
  const DeviceArray<bf16> values(64 * 16 + 8);
  const DeviceArray<float> floats(64);
  const DeviceArray<std::int32_t> integers(64);
  const DeviceArray<double> loss(1);
  ClassifierLossForward<bf16> args{.loss = loss.data(),
                                   .nll = floats.data(),
                                   .correct = integers.data(),
                                   .dhidden = values.data(),
                                   .dlogits = values.data(),
                                   .hidden = values.data() + 1,
                                   .head = values.data(),
                                   .targets = integers.data(),
                                   .weights = floats.data(),
                                   .excluded = nullptr,
                                   .N = 1,
                                   .C = 16,
                                   .V = 5};
  CHECK_THROWS_WITH(classifier_loss_forward(on_gpu<bf16>(), args),
                    Catch::Contains("must start at multiples of 16 bytes"));
}

// The parts in bf16: logits rounded before the softmax, their gradient after it.
Result composed(const Problem<bf16>& problem) {
  const std::int64_t N = problem.N, C = problem.C, V = problem.V;
  const auto rows = static_cast<std::size_t>(N);
  const DeviceArray<double> loss(std::vector<double>{2});
  const DeviceArray<float> nll(rows), weights(problem.weights),
      dhead(normal_array<float>("before", V * C));
  const DeviceArray<std::int32_t> correct(rows), targets(problem.targets);
  const DeviceArray<bf16> hidden(problem.hidden), head(problem.head),
      dhidden(problem.hidden.size()), logits(rows * static_cast<std::size_t>(V));
  const On<Cuda, bf16> on = on_gpu<bf16>();
  linear_forward(on, {.out = logits.data(),
                      .x = hidden.data(),
                      .weight = head.data(),
                      .bias = nullptr,
                      .N = N,
                      .IC = C,
                      .OC = V});
  masked_cross_entropy(on, {.loss = loss.data(),
                            .nll = nll.data(),
                            .correct = correct.data(),
                            .dlogits = logits.data(),
                            .logits = logits.data(),
                            .targets = targets.data(),
                            .weights = weights.data(),
                            .excluded = nullptr,
                            .N = N,
                            .V = V});
  linear_backward(on, {.dx = dhidden.data(),
                       .dweight = dhead.data(),
                       .dbias = nullptr,
                       .dout = logits.data(),
                       .x = hidden.data(),
                       .weight = head.data(),
                       .N = N,
                       .IC = C,
                       .OC = V});
  Result result;
  result.nll = doubles(nll.read());
  result.dlogits = doubles(logits.read());
  result.dhidden = doubles(dhidden.read());
  result.dhead = doubles(dhead.read());
  return result;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

TEST_CASE("GPU classifier_loss: fused is as exact as its parts in bf16, and the nll far more",
          "[gpu]") {
  const std::array<const char*, 4> names = {"nll", "dlogits", "dhidden", "dhead"};
  std::array<std::vector<double>, 4> fused, parts;
  for (const char* seed : {"1", "2", "3", "4", "5"}) {
    const Problem<bf16> problem(99, 128, 69, false, seed);
    const Result expected = reference(problem), rounded = composed(problem);
    Result result = run(problem);
    result.dlogits = without_padding(result.dlogits, problem.V);
    const std::array<std::vector<double> Result::*, 4> members = {&Result::nll, &Result::dlogits,
                                                                  &Result::dhidden, &Result::dhead};
    for (std::size_t i = 0; i < members.size(); ++i) {
      fused[i].push_back(relative_error(result.*members[i], expected.*members[i]));
      parts[i].push_back(relative_error(rounded.*members[i], expected.*members[i]));
    }
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    CAPTURE(names[i], median(fused[i]), median(parts[i]));
    CHECK(median(fused[i]) <= (i == 0 ? 0.01 : 1.0) * median(parts[i]));
  }
}

}  // namespace masque::test
