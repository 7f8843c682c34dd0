// Exact likelihoods, what every estimator refuses and reports, and paired differences.
#include "models/likelihood.h"

#include <algorithm>

#include "kernels/backend.h"
#include "models/tokenizer.h"
#include "tests/support/catch.h"
#include "tests/support/toy_likelihood.h"
#include "tests/support/toy_predictor.h"

namespace masque::test {
namespace {

TEST_CASE("exact is the chain's own likelihood", "[likelihood][cpu]") {
  const MarkovChain chain = uneven_letters();
  const auto tokens = chain.generate(83, 1);
  MarkovPredictor predictor(chain, 10, true);
  const auto windows = cover(83, 10);
  REQUIRE(windows.back().scored_from == 7);
  const Likelihood result = exact_likelihood(predictor, tokens, windows, chain.excluded(), {});
  CHECK(result.tokens == 83);
  CHECK(result.nats_per_token * 83 == Approx(closed_form(chain, tokens, windows)).epsilon(1e-9));
  CHECK(result.ci95.lo == result.nats_per_token);
  CHECK(result.ci95.hi == result.nats_per_token);
  CHECK(result.ci95_text.lo < result.nats_per_token);
  CHECK(result.ci95_text.hi > result.nats_per_token);
  CHECK(result.window_tokens == std::vector<std::int64_t>{10, 10, 10, 10, 10, 10, 10, 10, 3});
  CHECK(predictor.forwards == 1);
}

TEST_CASE("exact without [START] scores every token but the first", "[likelihood][cpu]") {
  const MarkovChain chain = uneven_letters();
  const auto tokens = chain.generate(46, 2);
  MarkovPredictor predictor(chain, 10, true);
  const auto windows = cover_with_context(46, 10);
  CHECK(windows.front().length == 11);
  CHECK(windows[1].begin == 10);
  CHECK(windows.back().begin + windows.back().length == 46);
  LikelihoodOptions options;
  options.start_token = false;
  const Likelihood result = exact_likelihood(predictor, tokens, windows, chain.excluded(), options);
  CHECK(result.tokens == 45);
  // A chain forgets all but the last token, so the windows' likelihoods join up.
  const double whole = chain.nats(tokens) - chain.nats(std::span(tokens).first(1));
  CHECK(result.nats_per_token * 45 == Approx(whole).epsilon(1e-9));
  CHECK_THROWS_WITH(exact_likelihood(predictor, tokens, cover(46, 10), chain.excluded(), options),
                    Catch::Contains("no [START]"));
  CHECK_THROWS_AS(cover_with_context(10, 10), InputError);
}

TEST_CASE("exact by position is the mean over full windows", "[likelihood][cpu]") {
  const MarkovChain chain = independent_letters({0.2, 0.5, 0.3});
  const auto tokens = chain.generate(25, 20);
  MarkovPredictor predictor(chain, 10, true);
  const Likelihood result =
      exact_likelihood(predictor, tokens, cover(25, 10), chain.excluded(), {});
  CHECK(result.by_masked.empty());
  REQUIRE(result.by_position.size() == 10);
  for (std::size_t i = 0; i < 10; ++i) {
    const double expected = (chain.nats(std::span(tokens).subspan(i, 1)) +
                             chain.nats(std::span(tokens).subspan(10 + i, 1))) /
                            2;
    CHECK(result.by_position[i] == Approx(expected).epsilon(1e-9));
  }
}

TEST_CASE("Accuracy counts the tokens that were most probable", "[likelihood][cpu]") {
  const MarkovChain chain = independent_letters({0.2, 0.5, 0.3});
  const auto tokens = chain.generate(100, 9);
  MarkovPredictor predictor(chain, 10, true);
  const Likelihood result =
      exact_likelihood(predictor, tokens, cover(100, 10), chain.excluded(), {});
  const auto seconds = std::count(tokens.begin(), tokens.end(), Tokenizer::kSpecials + 1);
  CHECK(result.accuracy == Approx(static_cast<double>(seconds) / 100));
}

TEST_CASE("Progress reports windows up to all of them", "[likelihood][cpu]") {
  const MarkovChain chain = uneven_letters();
  const auto tokens = chain.generate(50, 10);
  MarkovPredictor predictor(chain, 10, false);
  LikelihoodOptions options;
  options.draws = 4;
  options.batch = 6;
  std::vector<std::int64_t> seen;
  options.progress = [&](std::int64_t done, std::int64_t total) {
    CHECK(total == 5);
    seen.push_back(done);
  };
  nelbo_likelihood(predictor, tokens, cover(50, 10), chain.excluded(), options);
  CHECK(seen == std::vector<std::int64_t>{1, 3, 4, 5});
}

TEST_CASE("Arguments that make no likelihood are refused", "[likelihood][cpu]") {
  const MarkovChain chain = uneven_letters();
  auto tokens = chain.generate(30, 11);
  MarkovPredictor predictor(chain, 10, false);
  const auto windows = cover(30, 10);
  LikelihoodOptions options;
  for (const std::int64_t draws : {0, 1, 3, -2}) {
    options.draws = draws;
    CHECK_THROWS_AS(nelbo_likelihood(predictor, tokens, windows, chain.excluded(), options),
                    InputError);
  }
  options.draws = 2;
  CHECK_THROWS_WITH(nelbo_likelihood(predictor, tokens, {}, chain.excluded(), options),
                    Catch::Contains("no windows"));
  CHECK_THROWS_WITH(nelbo_likelihood(predictor, tokens, cover(30, 15), chain.excluded(), options),
                    Catch::Contains("context of 10"));
  CHECK_THROWS_WITH(nelbo_likelihood(predictor, tokens, {{25, 10, 0}}, chain.excluded(), options),
                    Catch::Contains("leaves the 30 tokens"));
  tokens[13] = Tokenizer::kMask;
  CHECK_THROWS_WITH(nelbo_likelihood(predictor, tokens, windows, chain.excluded(), options),
                    Catch::Contains("token 1 at 13"));
}

TEST_CASE("A paired difference is narrower than its parts", "[likelihood][cpu]") {
  const MarkovChain chain = uneven_letters();
  const auto tokens = chain.generate(2000, 12);
  const auto windows = cover(2000, 10);
  MarkovPredictor right(chain, 10, true), wrong(chain, 10, true, 0.5);
  const Likelihood a = exact_likelihood(wrong, tokens, windows, chain.excluded(), {});
  const Likelihood b = exact_likelihood(right, tokens, windows, chain.excluded(), {});
  const Interval difference = paired_difference(a, b, 1);
  CHECK(difference.lo > 0);
  CHECK(difference.lo < a.nats_per_token - b.nats_per_token);
  CHECK(difference.hi > a.nats_per_token - b.nats_per_token);
  CHECK(difference.hi - difference.lo < (a.ci95_text.hi - a.ci95_text.lo) / 2);
  CHECK_THROWS_WITH(
      paired_difference(a, exact_likelihood(right, tokens, cover(100, 10), chain.excluded(), {}),
                        1),
      Catch::Contains("other windows"));
}

}  // namespace
}  // namespace masque::test
