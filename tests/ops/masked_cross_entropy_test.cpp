#include "kernels/masked_cross_entropy.h"

#include "tests/support/arrays.h"
#include "tests/support/catch.h"

namespace masque::test {
namespace {

template <class Real>
struct Problem {
  Problem(std::int64_t rows, std::int64_t entries, bool exclude)
      : N(rows), V(entries), logits(normal_array<Real>("logits", N * V, 3)) {
    targets = integers(3, N, 0, static_cast<std::int32_t>(V) - 1);
    const std::vector<double> drawn = normals(4, N);
    if (exclude && V > 2) excluded.resize(static_cast<std::size_t>(V));
    for (std::size_t v = 0; v < excluded.size(); v += 3) excluded[v] = 1;
    for (std::int64_t n = 0; n < N; ++n) {
      weights.push_back(n % 3 == 1 ? 0 : static_cast<stat_t<Real>>(drawn[n] * drawn[n]));
      if (!excluded.empty() && excluded[targets[n]]) targets[n] = 1;
      if (n % 3 == 1) targets[n] = -7;  // must stay unread
    }
  }

  const std::uint8_t* excluded_or_null() const {
    return excluded.empty() ? nullptr : excluded.data();
  }

  std::int64_t N, V;
  std::vector<Real> logits;
  std::vector<std::int32_t> targets;
  std::vector<stat_t<Real>> weights;
  std::vector<std::uint8_t> excluded;
};

struct Result {
  double loss = 0;
  std::vector<double> nll, dlogits;
  std::vector<std::int32_t> correct;
};

enum class Gradient { none, apart, in_place };

template <class Real>
Result run(const Problem<Real>& problem, Gradient gradient) {
  Result result;
  result.loss = 2;  // added to
  auto nll = poisoned<stat_t<Real>>(problem.N);
  auto logits = problem.logits;
  auto apart = poisoned<Real>(problem.N * problem.V);
  Real* dlogits = gradient == Gradient::none    ? nullptr
                  : gradient == Gradient::apart ? apart.data()
                                                : logits.data();
  result.correct.assign(static_cast<std::size_t>(problem.N), -1);
  masked_cross_entropy(On<Cpu, Real>{},
                       MaskedCrossEntropy<Real>{.loss = &result.loss,
                                                .nll = nll.data(),
                                                .correct = result.correct.data(),
                                                .dlogits = dlogits,
                                                .logits = logits.data(),
                                                .targets = problem.targets.data(),
                                                .weights = problem.weights.data(),
                                                .excluded = problem.excluded_or_null(),
                                                .N = problem.N,
                                                .V = problem.V});
  result.nll.assign(nll.begin(), nll.end());
  if (dlogits != nullptr) {
    result.dlogits.assign(dlogits, dlogits + problem.N * problem.V);
  }
  return result;
}

template <class Real>
Result reference(const Problem<Real>& problem) {
  Result result;
  result.loss = 2;
  for (std::int64_t n = 0; n < problem.N; ++n) {
    const Real* logits = problem.logits.data() + n * problem.V;
    const double weight = problem.weights[n];
    double sum = 0;
    std::int32_t best = -1;
    for (std::int32_t v = 0; v < problem.V; ++v) {
      if (!problem.excluded.empty() && problem.excluded[v]) continue;
      sum += std::exp(static_cast<double>(logits[v]));
      if (best < 0 || logits[v] > logits[best]) best = v;
    }
    const std::int32_t target = problem.targets[n];
    const double nll = weight == 0 ? 0 : std::log(sum) - static_cast<double>(logits[target]);
    result.nll.push_back(nll);
    result.correct.push_back(weight != 0 && best == target);
    result.loss += weight * nll;
    for (std::int32_t v = 0; v < problem.V; ++v) {
      const bool out = !problem.excluded.empty() && problem.excluded[v];
      const double p = out ? 0 : std::exp(static_cast<double>(logits[v])) / sum;
      result.dlogits.push_back(weight == 0 ? 0 : weight * (p - (v == target ? 1 : 0)));
    }
  }
  return result;
}

TEMPLATE_TEST_CASE("masked_cross_entropy equals its formula", "[cpu]", float, double) {
  for (const std::int64_t V : {1, 2, 5, 69, 257}) {
    for (const std::int64_t N : {1, 4, 131}) {
      for (const bool exclude : {false, true}) {
        const Problem<TestType> problem(N, V, exclude);
        const Result expected = reference(problem);
        CAPTURE(V, N, exclude);
        for (const Gradient gradient : {Gradient::none, Gradient::apart, Gradient::in_place}) {
          const Result got = run(problem, gradient);
          const double tolerance = kTolerance<TestType>;
          CHECK(std::abs(got.loss - expected.loss) <= tolerance * expected.loss);
          CHECK(got.correct == expected.correct);
          if (V == 1) continue;  // all zeros
          CHECK(relative_error(got.nll, expected.nll) < tolerance);
          if (gradient != Gradient::none) {
            CHECK(relative_error(got.dlogits, expected.dlogits) < tolerance);
          }
        }
      }
    }
  }
}

TEST_CASE("what weighs nothing costs nothing, whatever its logits hold", "[cpu]") {
  Problem<float> problem(1, 5, false);
  problem.weights[0] = 0;
  problem.targets[0] = -1;
  problem.logits = poisoned<float>(5);
  const Result got = run(problem, Gradient::in_place);
  CHECK(got.loss == 2);
  CHECK(got.nll[0] == 0);
  CHECK(got.correct[0] == 0);
  for (const double d : got.dlogits) CHECK(d == 0);
}

TEST_CASE("large logits do not overflow, and NaN shows", "[cpu]") {
  Problem<float> problem(1, 4, false);
  problem.targets[0] = 2;
  problem.weights[0] = 1;
  problem.logits = {1e4f, -3e38f, 1e4f, 0};
  const Result got = run(problem, Gradient::apart);
  CHECK(got.nll[0] == Approx(std::log(2.0)));
  CHECK(got.correct[0] == 0);  // a tie goes to the lowest id
  CHECK(got.dlogits[2] == Approx(-0.5));
  problem.logits[3] = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(run(problem, Gradient::apart).loss));
  CHECK(std::isnan(run(problem, Gradient::in_place).dlogits[0]));
}

TEST_CASE("excluded entries take no probability and no gradient", "[cpu]") {
  Problem<double> problem(1, 4, true);
  problem.targets[0] = 1;
  problem.weights[0] = 1;
  problem.logits = {std::numeric_limits<double>::infinity(), 0, 0, 50};
  const Result got = run(problem, Gradient::apart);
  CHECK(got.nll[0] == Approx(std::log(2.0)));
  CHECK(got.correct[0] == 1);
  CHECK(got.dlogits[0] == 0);
  CHECK(got.dlogits[3] == 0);
}

TEST_CASE("masked_cross_entropy does not depend on the threads", "[cpu]") {
  const Problem<float> problem(1001, 69, true);
  CHECK(same_for_any_threads([&] { return run(problem, Gradient::in_place).dlogits; }));
  CHECK(same_for_any_threads(
      [&] { return std::vector<double>{run(problem, Gradient::in_place).loss}; }));
}

}  // namespace
}  // namespace masque::test
