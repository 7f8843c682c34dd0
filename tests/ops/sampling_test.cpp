#include "kernels/sampling.h"

#include <numeric>

#include "kernels/philox.h"
#include "tests/support/arrays.h"
#include "tests/support/catch.h"

namespace masque::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Request {
  std::vector<double> row;  // logits, the same for all K rows
  std::vector<std::uint8_t> excluded = {};
  double temperature = 1, top_p = 1;
  std::int64_t top_k = 0, K = 20000;
  std::uint64_t seed = 7;
  std::uint32_t draw = 0;
  Confidence kind = Confidence::drawn;
};

struct Drawn {
  std::vector<std::int32_t> tokens;
  std::vector<double> probability, confidence;
};

template <class Real = double>
Drawn run(const Request& request) {
  const std::int64_t K = request.K, V = static_cast<std::int64_t>(request.row.size());
  std::vector<Real> logits;
  for (std::int64_t k = 0; k < K; ++k) {
    for (const double logit : request.row) logits.push_back(static_cast<Real>(logit));
  }
  std::vector<std::uint32_t> rows(static_cast<std::size_t>(K));
  std::iota(rows.begin(), rows.end(), 100u);
  Drawn drawn{std::vector<std::int32_t>(static_cast<std::size_t>(K), -1), poisoned<double>(K),
              poisoned<double>(K)};
  sample_tokens(
      On<Cpu, Real>{},
      SampleTokens<Real>{.tokens = drawn.tokens.data(),
                         .probability = drawn.probability.data(),
                         .confidence = drawn.confidence.data(),
                         .kind = request.kind,
                         .logits = logits.data(),
                         .excluded = request.excluded.empty() ? nullptr : request.excluded.data(),
                         .draw_rows = rows.data(),
                         .seed = request.seed,
                         .stream = stream_of(Purpose::sample),
                         .draw = request.draw,
                         .temperature = request.temperature,
                         .top_k = request.top_k,
                         .top_p = request.top_p,
                         .K = K,
                         .V = V});
  return drawn;
}

std::vector<double> logits_of(const std::vector<double>& probabilities) {
  std::vector<double> logits;
  for (const double p : probabilities) logits.push_back(std::log(p) + 3);
  return logits;
}

// Pearson's statistic of the draws against these probabilities; ∞ where an impossible one was
// drawn.
double chi_squared(const std::vector<std::int32_t>& tokens,
                   const std::vector<double>& probabilities) {
  std::vector<double> counts(probabilities.size(), 0);
  for (const std::int32_t token : tokens) ++counts[static_cast<std::size_t>(token)];
  double statistic = 0;
  for (std::size_t v = 0; v < counts.size(); ++v) {
    const double expected = probabilities[v] * static_cast<double>(tokens.size());
    if (expected == 0 && counts[v] > 0) return kInfinity;
    if (expected > 0) statistic += (counts[v] - expected) * (counts[v] - expected) / expected;
  }
  return statistic;
}

constexpr double kChiLimit = 33;  // at most 5 degrees of freedom: exceeded once in 2.5e5

TEMPLATE_TEST_CASE("draws follow the softmax", "[cpu]", float, double) {
  const std::vector<double> p{0.05, 0.4, 0.15, 0.3, 0.1};
  Request request{.row = logits_of(p)};
  const Drawn drawn = run<TestType>(request);
  CHECK(chi_squared(drawn.tokens, p) < kChiLimit);
  for (std::size_t k = 0; k < drawn.tokens.size(); ++k) {
    REQUIRE(drawn.probability[k] == Approx(p[drawn.tokens[k]]).epsilon(1e-6));
  }
  CHECK(run<TestType>(request).tokens == drawn.tokens);
  request.draw = 1;
  CHECK(run<TestType>(request).tokens != drawn.tokens);
}

TEST_CASE("temperature sharpens the draw, not the reported probability", "[cpu]") {
  const std::vector<double> p{0.2, 0.5, 0.3};
  Request request{.row = logits_of(p)};
  request.temperature = 0.5;
  const Drawn drawn = run(request);
  const double total = 0.04 + 0.25 + 0.09;
  CHECK(chi_squared(drawn.tokens, {0.04 / total, 0.25 / total, 0.09 / total}) < kChiLimit);
  for (std::size_t k = 0; k < drawn.tokens.size(); ++k) {
    REQUIRE(drawn.probability[k] == Approx(p[drawn.tokens[k]]));
  }
}

TEST_CASE("temperature 0 takes the first of the most probable", "[cpu]") {
  Request request{.row = {1, 5, 5, 9, 0}};
  request.temperature = 0;
  request.K = 1;
  request.excluded = {0, 0, 0, 1, 0};
  CHECK(run(request).tokens[0] == 1);
  const double sum = std::exp(-4) + 2 + std::exp(-5);
  CHECK(run(request).probability[0] == Approx(1 / sum));
}

TEST_CASE("top_k keeps the most probable, of equals the lower ids", "[cpu]") {
  const std::vector<double> p{0.1, 0.3, 0.1, 0.4, 0.1};
  Request request{.row = logits_of(p)};
  request.top_k = 3;
  const Drawn drawn = run(request);
  CHECK(chi_squared(drawn.tokens, {0.125, 0.375, 0, 0.5, 0}) < kChiLimit);
  CHECK(drawn.probability[0] == Approx(p[drawn.tokens[0]]));
  request.top_k = 1;
  CHECK(chi_squared(run(request).tokens, {0, 0, 0, 1, 0}) == 0);
  request.top_k = 50;
  const std::vector<std::int32_t> all = run(request).tokens;
  request.top_k = 0;
  CHECK(run(request).tokens == all);
}

TEST_CASE("top_p keeps the fewest with that mass", "[cpu]") {
  const std::vector<double> p{0.1, 0.3, 0.05, 0.4, 0.15};
  Request request{.row = logits_of(p)};
  request.top_p = 0.69;
  CHECK(chi_squared(run(request).tokens, {0, 3 / 7.0, 0, 4 / 7.0, 0}) < kChiLimit);
  request.top_p = 0.71;
  CHECK(chi_squared(run(request).tokens, {0, 0.3 / 0.85, 0, 0.4 / 0.85, 0.15 / 0.85}) < kChiLimit);
  request.top_p = 1e-9;
  CHECK(chi_squared(run(request).tokens, {0, 0, 0, 1, 0}) == 0);
  // Of the mass that top_k left: 0.4 of 0.7 is below 0.6.
  request.top_k = 2;
  request.top_p = 0.6;
  CHECK(chi_squared(run(request).tokens, {0, 3 / 7.0, 0, 4 / 7.0, 0}) < kChiLimit);
}

TEST_CASE("confidence is of temperature 1, before the cuts, and by its kind", "[cpu]") {
  const std::vector<double> p{0.1, 0.3, 0.05, 0.4, 0.15};
  Request request{.row = logits_of(p)};
  request.row.push_back(50);
  request.row.push_back(-kInfinity);
  request.excluded = {0, 0, 0, 0, 0, 1, 0};
  request.temperature = 3;
  request.top_k = 4;
  request.top_p = 0.9;
  request.K = 50;
  double minus_entropy = 0;
  for (const double each : p) minus_entropy += each * std::log(each);
  const Drawn by_draw = run(request);
  CHECK(by_draw.confidence == by_draw.probability);
  const std::vector<std::pair<Confidence, double>> kinds = {{Confidence::max_prob, 0.4},
                                                            {Confidence::margin, 0.4 - 0.3},
                                                            {Confidence::entropy, minus_entropy}};
  for (const auto& [kind, expected] : kinds) {
    request.kind = kind;
    const Drawn drawn = run(request);
    CHECK(drawn.tokens == by_draw.tokens);
    CHECK(drawn.probability == by_draw.probability);
    for (const double confidence : drawn.confidence) REQUIRE(confidence == Approx(expected));
  }
}

TEST_CASE("the confidence of a tie, and of the only token", "[cpu]") {
  const auto confidence = [](std::vector<double> row, Confidence kind) {
    Request request{.row = std::move(row)};
    request.kind = kind;
    request.K = 1;
    return run(request).confidence[0];
  };
  CHECK(confidence({2, 2, 2, 2}, Confidence::margin) == 0);
  CHECK(confidence({2, 2, 2, 2}, Confidence::max_prob) == Approx(0.25));
  CHECK(confidence({2, 2, 2, 2}, Confidence::entropy) == Approx(-std::log(4)));
  for (const std::vector<double>& only : {std::vector<double>{7}, {-kInfinity, 7, -kInfinity}}) {
    CHECK(confidence(only, Confidence::margin) == 1);
    CHECK(confidence(only, Confidence::max_prob) == 1);
    CHECK(confidence(only, Confidence::entropy) == 0);
  }
}

TEST_CASE("excluded and impossible entries are never drawn", "[cpu]") {
  Request request{.row = {50, 0, -kInfinity, 0, kInfinity}};
  request.excluded = {1, 0, 0, 0, 1};
  const Drawn drawn = run(request);
  CHECK(chi_squared(drawn.tokens, {0, 0.5, 0, 0.5, 0}) < kChiLimit);
  CHECK(drawn.probability[0] == Approx(0.5));
  request.temperature = 1e-300;
  request.row[1] = 1;
  CHECK(chi_squared(run(request).tokens, {0, 1, 0, 0, 0}) == 0);
}

TEST_CASE("logits that give no distribution are an error that names the row", "[cpu]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const std::vector<double>& row :
       {std::vector<double>{0, nan, 1}, {0, kInfinity, 1}, {-kInfinity, -kInfinity, -kInfinity}}) {
    for (const double temperature : {0.0, 1.0}) {
      Request request{.row = row};
      request.K = 5;
      request.temperature = temperature;
      CHECK_THROWS_AS(run(request), Error);
      CHECK_THROWS_WITH(run(request), Catch::Contains("logits of row 0 of 5"));
    }
  }
  Request request{.row = {nan, 1}};
  request.excluded = {1, 0};
  CHECK_NOTHROW(run(request));
}

TEST_CASE("draws do not depend on the threads", "[cpu]") {
  Request request{.row = normal_array<double>("row", 69)};
  request.top_p = 0.9;
  CHECK(same_for_any_threads([&] { return run(request).tokens; }));
  CHECK(same_for_any_threads([&] { return run(request).probability; }));
}

TEST_CASE("rows that are not wanted are left alone, and the draw may lie in memory", "[cpu]") {
  const std::vector<double> logits = {0, 1, 2, kInfinity, 0, 0, 2, 1, 0};  // the second row is bad
  const std::vector<std::uint32_t> rows = {5, 6, 7};
  const std::vector<std::uint8_t> wanted = {1, 0, 1};
  const std::uint32_t draw = 9;
  std::vector<std::int32_t> tokens = {-1, -1, -1}, expected = tokens;
  SampleTokens<double> args{};
  args.logits = logits.data();
  args.draw_rows = rows.data();
  args.temperature = 3;
  args.top_p = 1;
  args.K = 3;
  args.V = 3;
  args.wanted = wanted.data();
  for (args.seed = 0; args.seed < 20; ++args.seed) {
    args.tokens = expected.data();
    args.draw = draw;
    args.draw_at = nullptr;
    sample_tokens(On<Cpu, double>{}, args);
    args.tokens = tokens.data();
    args.draw = 0;
    args.draw_at = &draw;
    sample_tokens(On<Cpu, double>{}, args);
    CHECK(tokens == expected);
    CHECK(tokens[1] == -1);
  }
  args.wanted = nullptr;
  CHECK_THROWS_WITH(sample_tokens(On<Cpu, double>{}, args), Catch::Contains("row 1 of 3"));
}

}  // namespace
}  // namespace masque::test
