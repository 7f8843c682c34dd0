#include "kernels/masked_cross_entropy.h"
#include "tests/support/arrays.h"
#include "tests/support/device_array.h"
#include "tests/support/gpu.h"
// After the engine's own headers.
#include "tests/support/catch.h"

namespace masque::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
const std::vector<std::int64_t> kCountsBefore = {5, 3000000000};  // added to

// Every third row weighs nothing: its target and its logits must stay unread.
template <class Real>
struct Problem {
  Problem(std::int64_t rows, std::int64_t entries, bool exclude)
      : N(rows), V(entries), logits(normal_array<Real>("logits", N * V, 3)) {
    targets = integers(3, N, 0, static_cast<std::int32_t>(V) - 1);
    const std::vector<double> drawn = normals(4, N);
    if (exclude && V > 2) excluded.resize(static_cast<std::size_t>(V));
    for (std::size_t v = 0; v < excluded.size(); v += 3) excluded[v] = 1;
    for (std::int64_t n = 0; n < N; ++n) {
      if (!excluded.empty() && excluded[targets[n]]) targets[n] = 1;
      weights.push_back(n % 3 == 1 ? 0 : static_cast<float>(drawn[n] * drawn[n]));
      if (n % 3 != 1) continue;
      targets[n] = -7;
      std::fill_n(logits.begin() + n * V, V, Real{kNan});
    }
  }

  std::int64_t N, V;
  std::vector<Real> logits;
  std::vector<std::int32_t> targets;
  std::vector<float> weights;
  std::vector<std::uint8_t> excluded;
};

enum class Gradient { none, apart, in_place };

struct Result {
  double loss = 0;
  std::vector<double> nll, dlogits;
  std::vector<std::int32_t> correct;
  std::vector<std::int64_t> counts;

  bool operator==(const Result& other) const {
    return loss == other.loss && same_bits(nll, other.nll) && same_bits(dlogits, other.dlogits) &&
           correct == other.correct && counts == other.counts;
  }
};

template <class Real>
Result run(const Problem<Real>& problem, Gradient gradient) {
  const auto rows = static_cast<std::size_t>(problem.N);
  const DeviceArray<double> loss(std::vector<double>{2});  // added to
  const DeviceArray<std::int64_t> counts(kCountsBefore);
  const DeviceArray<float> nll(rows), weights(problem.weights);
  const DeviceArray<std::int32_t> correct(rows), targets(problem.targets);
  const DeviceArray<Real> logits(problem.logits), apart(problem.logits.size());
  const DeviceArray<std::uint8_t> excluded(problem.excluded.empty() ? std::vector<std::uint8_t>(1)
                                                                    : problem.excluded);
  const bool without_correct = gradient == Gradient::apart;
  const DeviceArray<Real>& dlogits = gradient == Gradient::in_place ? logits : apart;
  masked_cross_entropy(
      on_gpu<Real>(),
      MaskedCrossEntropy<Real>{.loss = loss.data(),
                               .counts = without_correct ? nullptr : counts.data(),
                               .nll = nll.data(),
                               .correct = without_correct ? nullptr : correct.data(),
                               .dlogits = gradient == Gradient::none ? nullptr : dlogits.data(),
                               .logits = logits.data(),
                               .targets = targets.data(),
                               .weights = weights.data(),
                               .excluded = problem.excluded.empty() ? nullptr : excluded.data(),
                               .N = problem.N,
                               .V = problem.V});
  Result result;
  result.loss = loss.read()[0];
  for (const float value : nll.read()) result.nll.push_back(value);
  result.counts = counts.read();
  if (!without_correct) result.correct = correct.read();
  if (gradient == Gradient::none) return result;
  for (const Real value : dlogits.read()) result.dlogits.push_back(static_cast<float>(value));
  return result;
}

// The CPU in f64, from the same numbers.
template <class Real>
Result reference(const Problem<Real>& problem) {
  Result result;
  result.loss = 2;
  result.counts = kCountsBefore;
  result.nll = poisoned<double>(problem.N);
  result.correct.resize(result.nll.size());
  result.dlogits.assign(problem.logits.begin(), problem.logits.end());
  const std::vector<double> weights(problem.weights.begin(), problem.weights.end());
  masked_cross_entropy(On<Cpu, double>{},
                       MaskedCrossEntropy<double>{
                           .loss = &result.loss,
                           .counts = result.counts.data(),
                           .nll = result.nll.data(),
                           .correct = result.correct.data(),
                           .dlogits = result.dlogits.data(),
                           .logits = result.dlogits.data(),
                           .targets = problem.targets.data(),
                           .weights = weights.data(),
                           .excluded = problem.excluded.empty() ? nullptr : problem.excluded.data(),
                           .N = problem.N,
                           .V = problem.V});
  return result;
}

template <class Real>
void check_against_cpu(const Problem<Real>& problem) {
  CAPTURE(problem.N, problem.V, problem.excluded.size());
  constexpr double tolerance = kTolerance<float>;
  constexpr double dlogits_tolerance = sizeof(Real) == 2 ? 4e-3 : tolerance;
  const Result expected = reference(problem);
  const Result result = run(problem, Gradient::in_place);
  CHECK(std::abs(result.loss - expected.loss) <= tolerance * expected.loss);
  CHECK(result.correct == expected.correct);
  CHECK(result.counts == expected.counts);
  if (problem.V > 1) {  // else all zeros
    CHECK(relative_error(result.nll, expected.nll) < tolerance);
    CHECK(relative_error(result.dlogits, expected.dlogits) < dlogits_tolerance);
  }
  const Result apart = run(problem, Gradient::apart), none = run(problem, Gradient::none);
  CHECK(same_bits(apart.dlogits, result.dlogits));
  CHECK(apart.loss == result.loss);
  CHECK(apart.counts == kCountsBefore);
  CHECK(none.correct == result.correct);
  CHECK(none.loss == result.loss);
}

TEMPLATE_TEST_CASE("GPU masked_cross_entropy: rows of a warp", "[gpu]", float, bf16) {
  for (const std::int64_t V : {1, 5, 69, 72, 131, 248, 257, 512, 1024}) {
    check_against_cpu(Problem<TestType>(V < 100 ? 19 : 3, V, V % 2 == 1));
  }
  check_against_cpu(Problem<TestType>(3, 72, true));
}

TEMPLATE_TEST_CASE("GPU masked_cross_entropy: rows of a block", "[gpu]", float, bf16) {
  for (const std::int64_t V : {1025, 1032, 3001, 16392, 16399}) {
    check_against_cpu(Problem<TestType>(V < 16384 ? 3 : 1, V, true));
  }
  check_against_cpu(Problem<TestType>(2, 1032, false));
}

TEMPLATE_TEST_CASE("GPU masked_cross_entropy: no order of threads and no repetition shows", "[gpu]",
                   float, bf16) {
  for (const std::int64_t V : {69, 72, 1032, 1201}) {
    const Problem<TestType> problem(V < 100 ? 37 : 4, V, true);
    const Result first = run(problem, Gradient::in_place);
    for (int order = 0; order < kThreadOrders; ++order) {
      set_thread_order(order);
      CHECK(run(problem, Gradient::in_place) == first);
    }
    set_thread_order(0);
  }
}

TEST_CASE("GPU masked_cross_entropy: a tie goes to the lowest id, NaN and infinity show", "[gpu]") {
  for (const std::int64_t V : {4, 1028}) {
    for (const bool packed : {false, true}) {
      Problem<float> problem(1, packed ? V : V + 1, false);
      const auto last = static_cast<std::int32_t>(V - 1);
      problem.weights[0] = 1;
      problem.targets[0] = last;
      std::fill(problem.logits.begin(), problem.logits.end(), -3e38f);
      problem.logits[1] = problem.logits[last] = 1e4f;
      const Result tie = run(problem, Gradient::in_place);
      CHECK(tie.nll[0] == Approx(std::log(2.0)));
      CHECK(tie.correct[0] == 0);
      CHECK(tie.dlogits[1] == 0.5);
      CHECK(tie.dlogits[last] == -0.5);
      problem.targets[0] = 1;
      CHECK(run(problem, Gradient::none).correct[0] == 1);
      for (const float bad : {kNan, std::numeric_limits<float>::infinity()}) {
        problem.logits[2] = bad;
        const Result broken = run(problem, Gradient::in_place);
        CHECK(std::isnan(broken.loss));
        CHECK(std::isnan(broken.dlogits[0]));
      }
      for (const float none : {kNan, -std::numeric_limits<float>::infinity()}) {
        Problem<float> empty = problem;
        std::fill(empty.logits.begin(), empty.logits.end(), none);
        CHECK(std::isnan(run(empty, Gradient::in_place).loss));
      }
      problem.excluded.resize(problem.logits.size());
      problem.excluded[2] = 1;
      const Result excluded = run(problem, Gradient::in_place);
      CHECK(excluded.nll[0] == Approx(std::log(2.0)));
      CHECK(excluded.dlogits[2] == 0);
    }
  }
}

}  // namespace
}  // namespace masque::test
