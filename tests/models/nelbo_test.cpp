// The nelbo against the bound that all subsets of a window give, and what its draws depend on.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "models/likelihood.h"
#include "models/tokenizer.h"
#include "tests/support/catch.h"
#include "tests/support/toy_likelihood.h"
#include "tests/support/toy_predictor.h"

namespace masque::test {
namespace {

// What nelbo comes to without its control variate: the mean over draws.
double plain_nats_per_token(const Likelihood& nelbo) {
  double nats = 0, draws = 0;
  for (const MaskedBin& bin : nelbo.by_masked) {
    if (bin.draws > 0) nats += bin.nats * static_cast<double>(bin.draws);
    draws += static_cast<double>(bin.draws);
  }
  return nats / draws;
}

TEST_CASE("Enumerated, the nelbo of exact conditionals is the likelihood", "[likelihood][cpu]") {
  const MarkovChain chain = uneven_letters();
  const auto tokens = chain.generate(7, 3);
  MarkovPredictor predictor(chain, 7, false);
  CHECK(enumerated_nelbo(predictor, tokens, 0) == Approx(chain.nats(tokens)).epsilon(1e-12));
  const double given = chain.nats(tokens) - chain.nats(std::span(tokens).first(3));
  CHECK(enumerated_nelbo(predictor, tokens, 3) == Approx(given).epsilon(1e-12));
}

TEST_CASE("nelbo of exact conditionals holds the likelihood in its interval", "[likelihood][cpu]") {
  const MarkovChain chain = uneven_letters();
  const auto tokens = chain.generate(395, 4);
  MarkovPredictor predictor(chain, 10, false);
  const auto windows = cover(395, 10);
  LikelihoodOptions options;
  options.draws = 200;
  const Likelihood result = nelbo_likelihood(predictor, tokens, windows, chain.excluded(), options);
  const double truth = closed_form(chain, tokens, windows) / 395;
  CHECK(result.ci95.lo < truth);
  CHECK(result.ci95.hi > truth);
  CHECK(result.ci95.hi - result.ci95.lo < 0.02);
  CHECK(result.tokens == 395);
}

TEST_CASE("nelbo's expectation is the enumerated bound", "[likelihood][cpu]") {
  // A wrong model, whose bound is no chain's likelihood. The same window again and again: each
  // draws its own masks, however few.
  const MarkovChain chain = uneven_letters();
  const auto window = chain.generate(6, 5);
  MarkovPredictor predictor(chain, 6, false, 1.0);
  const double truth = enumerated_nelbo(predictor, window, 0);
  CHECK(std::abs(truth - chain.nats(window)) > 0.05);
  constexpr std::int64_t kCopies = 4000;
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i < kCopies; ++i) {
    tokens.insert(tokens.end(), window.begin(), window.end());
  }
  for (const std::int64_t draws : {2, 6}) {
    LikelihoodOptions options;
    options.draws = draws;
    const Likelihood result =
        nelbo_likelihood(predictor, tokens, cover(6 * kCopies, 6), chain.excluded(), options);
    const double half = (result.ci95.hi - result.ci95.lo) / 2;
    CHECK(half < 0.02);
    CHECK(result.nats_per_token == Approx(truth / 6).margin(1.5 * half));
    // All that varies between these windows is the estimator, so both intervals tell the same.
    CHECK(result.ci95_text.hi - result.ci95_text.lo == Approx(2 * half).epsilon(0.3));
  }

  // What an overlapping last window scores.
  const auto windows = cover(11, 6);
  REQUIRE(windows.back().scored_from == 1);
  LikelihoodOptions options;
  options.draws = 20000;
  const Likelihood last = nelbo_likelihood(predictor, std::span(tokens).first(11), {windows.back()},
                                           chain.excluded(), options);
  const double expected = enumerated_nelbo(predictor, std::span(tokens).subspan(5, 6), 1);
  CHECK(last.window_nats.front() == Approx(expected).margin(0.05));
}

TEST_CASE("nelbo's interval covers the bound as often as it says", "[likelihood][cpu]") {
  const MarkovChain chain = uneven_letters();
  const auto tokens = chain.generate(48, 6);
  MarkovPredictor predictor(chain, 6, false, 1.0);
  const auto windows = cover(48, 6);
  double truth = 0;
  for (const Window& window : windows) {
    truth += enumerated_nelbo(
        predictor, std::span(tokens).subspan(static_cast<std::size_t>(window.begin), 6), 0);
  }
  LikelihoodOptions options;
  options.draws = GENERATE(2, 4, 8);
  options.batch = 64;
  int covered = 0;
  constexpr int kSeeds = 600;
  double mean = 0, error = 0, claimed = 0;  // of nats a token: mean, squared error, variance
  for (int seed = 0; seed < kSeeds; ++seed) {
    options.seed = static_cast<std::uint64_t>(seed);
    const Likelihood result =
        nelbo_likelihood(predictor, tokens, windows, chain.excluded(), options);
    covered += result.ci95.lo <= truth / 48 && truth / 48 <= result.ci95.hi ? 1 : 0;
    const double deviation = result.nats_per_token - truth / 48;
    const double half = (result.ci95.hi - result.ci95.lo) / 2 / student_t(8);
    mean += result.nats_per_token / kSeeds;
    error += deviation * deviation / kSeeds;
    claimed += half * half / kSeeds;
  }
  CAPTURE(covered, mean, truth / 48);
  CHECK(covered >= kSeeds * 90 / 100);
  CHECK(covered <= kSeeds * 98 / 100);
  CHECK(claimed == Approx(error).epsilon(0.25));
  CHECK(mean == Approx(truth / 48).margin(4 * std::sqrt(error / kSeeds)));
}

TEST_CASE("The control variate lowers nelbo's variance, and with few draws does no harm",
          "[likelihood][cpu]") {
  // Letters that are likely and unlikely where they stand, as in text: what one half of the draws
  // says of a position tells much of the other half.
  const MarkovChain chain = independent_letters({0.05, 0.15, 0.8});
  const auto tokens = chain.generate(32, 17);
  MarkovPredictor predictor(chain, 32, false, 0.3);
  LikelihoodOptions options;
  options.batch = 64;
  constexpr int kSeeds = 300;
  for (const auto& [draws, most] : {std::pair{2, 1.1}, {4, 1.0}, {16, 0.5}}) {
    options.draws = draws;
    double mean = 0, plain_mean = 0, square = 0, plain_square = 0;
    for (int seed = 0; seed < kSeeds; ++seed) {
      options.seed = static_cast<std::uint64_t>(seed);
      const Likelihood result =
          nelbo_likelihood(predictor, tokens, cover(32, 32), chain.excluded(), options);
      const double value = result.nats_per_token, plain = plain_nats_per_token(result);
      mean += value / kSeeds;
      plain_mean += plain / kSeeds;
      square += value * value / kSeeds;
      plain_square += plain * plain / kSeeds;
    }
    const double variance = square - mean * mean;
    const double plain_variance = plain_square - plain_mean * plain_mean;
    CAPTURE(draws, variance / plain_variance);
    CHECK(variance < most * plain_variance);
    CHECK(mean == Approx(plain_mean).margin(4 * std::sqrt(plain_variance / kSeeds)));
  }
}

TEST_CASE("nelbo's curves are the enumerated ones", "[likelihood][cpu]") {
  const MarkovChain chain = uneven_letters();
  const auto tokens = chain.generate(15, 18);
  MarkovPredictor predictor(chain, 6, false, 1.0);
  const auto windows = cover(15, 6);
  REQUIRE(windows.back().scored_from == 3);  // of which the curves take nothing
  LikelihoodOptions options;
  options.draws = 12000;
  options.batch = 500;
  const Likelihood result = nelbo_likelihood(predictor, tokens, windows, chain.excluded(), options);
  REQUIRE(result.by_masked.size() == 6);
  double width_mean = 0;
  for (std::size_t l = 1; l <= 6; ++l) {
    double expected = 0;
    for (const std::size_t w : {0u, 1u}) {
      expected += enumerated_curve(predictor, std::span(tokens).subspan(6 * w, 6), 0)[l - 1] / 2;
    }
    const MaskedBin& bin = result.by_masked[l - 1];
    CHECK(bin.lo == static_cast<std::int64_t>(l));
    CHECK(bin.hi == bin.lo);
    CHECK(bin.draws == 4000);  // strata of equal width
    CHECK(bin.nats == Approx(expected).margin(0.05));
    width_mean += bin.nats / 6;
  }
  const double full = (result.window_nats[0] + result.window_nats[1]) / 12;
  CHECK(width_mean == Approx(plain_nats_per_token(result)).epsilon(1e-12));
  CHECK(width_mean == Approx(full).margin(0.01));

  REQUIRE(result.by_position.size() == 6);
  const double sum = std::accumulate(result.by_position.begin(), result.by_position.end(), 0.0);
  CHECK(sum == Approx(6 * full).epsilon(1e-12));
  // Position i costs, over all subsets that mask it, (n/l)·P(masked | l) = 1 times its mean nll.
  for (std::size_t i = 0; i < 6; ++i) {
    double expected = 0;
    for (std::uint32_t bits = 1; bits < 64; ++bits) {
      if ((bits >> i & 1) == 0) continue;
      for (const std::size_t w : {0u, 1u}) {
        std::vector<std::int32_t> ids(tokens.begin() + static_cast<std::ptrdiff_t>(6 * w),
                                      tokens.begin() + static_cast<std::ptrdiff_t>(6 * w + 6));
        const std::int32_t token = ids[i];
        double masks = 0, subsets = 1;  // subsets of this size: 6 choose l
        for (std::size_t k = 0; k < 6; ++k) {
          if ((bits >> k & 1) == 0) continue;
          ids[k] = Tokenizer::kMask;
          subsets *= (6 - masks) / (masks + 1);
          ++masks;
        }
        std::vector<double> logits(7);
        const std::vector<std::int64_t> rows = {static_cast<std::int64_t>(i)};
        predictor.predict({ids, {}, 1, 6, rows}, logits);
        expected += letter_nll(logits, token) / subsets / masks / 2;
      }
    }
    CHECK(result.by_position[i] == Approx(expected).margin(0.05));
  }

  // With few draws some counts are never seen; the sums hold all the same.
  options.draws = 2;
  const Likelihood few = nelbo_likelihood(predictor, tokens, windows, chain.excluded(), options);
  CHECK(std::any_of(few.by_masked.begin(), few.by_masked.end(),
                    [](const MaskedBin& bin) { return bin.draws == 0 && std::isnan(bin.nats); }));
  CHECK(std::accumulate(few.by_position.begin(), few.by_position.end(), 0.0) ==
        Approx((few.window_nats[0] + few.window_nats[1]) / 2).epsilon(1e-12));
}

TEST_CASE("Bins of masked counts share out 1 to n", "[likelihood][cpu]") {
  const MarkovChain chain = uneven_letters();
  const auto tokens = chain.generate(35, 19);
  MarkovPredictor predictor(chain, 35, false);
  const Likelihood result =
      nelbo_likelihood(predictor, tokens, cover(35, 35), chain.excluded(), {});
  REQUIRE(result.by_masked.size() == 16);
  std::int64_t next = 1, draws = 0;
  for (const MaskedBin& bin : result.by_masked) {
    CHECK(bin.lo == next);
    CHECK(bin.hi >= bin.lo);
    next = bin.hi + 1;
    draws += bin.draws;
  }
  CHECK(next == 36);
  CHECK(draws == 32);
}

TEST_CASE("A window's draws depend neither on the batch nor on other windows",
          "[likelihood][cpu]") {
  const MarkovChain chain = uneven_letters();
  const auto tokens = chain.generate(57, 7);
  MarkovPredictor predictor(chain, 8, false, 0.7);
  const auto windows = cover(57, 8);
  LikelihoodOptions options;
  options.draws = 6;
  options.batch = 32;
  const Likelihood whole = nelbo_likelihood(predictor, tokens, windows, chain.excluded(), options);

  for (const std::int64_t batch : {1, 5, 1000}) {
    options.batch = batch;
    predictor.largest_batch = 0;
    const Likelihood other =
        nelbo_likelihood(predictor, tokens, windows, chain.excluded(), options);
    CHECK(other.window_nats == whole.window_nats);
    CHECK(other.accuracy == whole.accuracy);
    CHECK(other.ci95.lo == whole.ci95.lo);
    CHECK(other.ci95_text.hi == whole.ci95_text.hi);
    // Copies fill the smallest batches up to 32 rows.
    CHECK(predictor.largest_batch <= std::max<std::int64_t>(batch, 32 / 8));
  }

  std::vector<Window> backwards(windows.rbegin(), windows.rend());
  Likelihood reversed = nelbo_likelihood(predictor, tokens, backwards, chain.excluded(), options);
  std::reverse(reversed.window_nats.begin(), reversed.window_nats.end());
  CHECK(reversed.window_nats == whole.window_nats);

  const Likelihood alone =
      nelbo_likelihood(predictor, tokens, {windows.back()}, chain.excluded(), options);
  CHECK(alone.window_nats.front() == whole.window_nats.back());

  options.seed = 2;
  CHECK(nelbo_likelihood(predictor, tokens, windows, chain.excluded(), options).window_nats !=
        whole.window_nats);
}

TEST_CASE("Tokens of a final window that are not scored are always given", "[likelihood][cpu]") {
  // In ABAB… one visible token tells all others, so whatever is masked costs nothing.
  const MarkovChain chain = alternating_letters();
  const auto tokens = chain.generate(11, 8);
  MarkovPredictor predictor(chain, 8, false);
  LikelihoodOptions options;
  options.draws = 16;
  const std::vector<Window> last = {cover(11, 8).back()};
  REQUIRE(last.front().scored_from == 5);
  const Likelihood result = nelbo_likelihood(predictor, tokens, last, chain.excluded(), options);
  CHECK(result.nats_per_token == Approx(0).margin(1e-12));
  CHECK(result.accuracy == 1);
  CHECK(result.tokens == 3);
  // A whole window costs the one bit that tells the two strings apart, when all of it is masked.
  options.draws = 4000;
  const Likelihood full =
      nelbo_likelihood(predictor, tokens, {cover(11, 8).front()}, chain.excluded(), options);
  CHECK(full.window_nats.front() == Approx(std::log(2)).margin(0.01));
}

}  // namespace
}  // namespace masque::test
