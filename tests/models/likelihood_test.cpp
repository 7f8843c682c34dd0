#include "models/likelihood.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "kernels/backend.h"
#include "models/tokenizer.h"
#include "tests/support/catch.h"
#include "tests/support/toy_predictor.h"

namespace masque::test {
namespace {

// −log P of the windows' scored tokens given the visible ones, by the chain rule.
double closed_form(const MarkovChain& chain, std::span<const std::int32_t> tokens,
                   const std::vector<Window>& windows) {
  double sum = 0;
  for (const Window& window : windows) {
    const auto text = tokens.subspan(static_cast<std::size_t>(window.begin),
                                     static_cast<std::size_t>(window.length));
    sum += chain.nats(text);
    if (window.scored_from > 0) {
      sum -= chain.nats(text.first(static_cast<std::size_t>(window.scored_from)));
    }
  }
  return sum;
}

// Mean nll of a masked token of one window with 1 … n masked, (n): every subset.
std::vector<double> enumerated_curve(Predictor& predictor, std::span<const std::int32_t> text,
                                     std::int64_t scored_from) {
  const auto T = static_cast<std::int64_t>(text.size()), n = T - scored_from;
  const auto V = static_cast<std::size_t>(predictor.vocab_size());
  std::vector<double> sums(static_cast<std::size_t>(n) + 1), subsets(sums.size());
  for (std::uint32_t bits = 1; bits < 1u << n; ++bits) {
    std::vector<std::int32_t> ids(text.begin(), text.end());
    std::vector<std::int64_t> rows;
    for (std::int64_t i = 0; i < n; ++i) {
      if ((bits >> i & 1) == 0) continue;
      rows.push_back(scored_from + i);
      ids[static_cast<std::size_t>(scored_from + i)] = Tokenizer::kMask;
    }
    std::vector<double> logits(rows.size() * V);
    predictor.predict({ids, {}, 1, T, rows}, logits);
    for (std::size_t k = 0; k < rows.size(); ++k) {
      const auto row = std::span(logits).subspan(k * V, V);
      double sum = 0;
      for (std::size_t v = Tokenizer::kSpecials; v < V; ++v) sum += std::exp(row[v]);
      sums[rows.size()] +=
          std::log(sum) - row[static_cast<std::size_t>(text[static_cast<std::size_t>(rows[k])])];
    }
    ++subsets[rows.size()];
  }
  std::vector<double> curve;
  for (std::size_t l = 1; l < sums.size(); ++l) {
    curve.push_back(sums[l] / subsets[l] / static_cast<double>(l));
  }
  return curve;
}

double enumerated_nelbo(Predictor& predictor, std::span<const std::int32_t> text,
                        std::int64_t scored_from) {
  const std::vector<double> curve = enumerated_curve(predictor, text, scored_from);
  return std::accumulate(curve.begin(), curve.end(), 0.0);
}

// What nelbo comes to without its control variate: the mean over draws.
double plain_nats_per_token(const Likelihood& nelbo) {
  double nats = 0, draws = 0;
  for (const MaskedBin& bin : nelbo.by_masked) {
    if (bin.draws > 0) nats += bin.nats * static_cast<double>(bin.draws);
    draws += static_cast<double>(bin.draws);
  }
  return nats / draws;
}

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
        double total = 0;
        for (std::size_t v = Tokenizer::kSpecials; v < 7; ++v) total += std::exp(logits[v]);
        expected +=
            (std::log(total) - logits[static_cast<std::size_t>(token)]) / subsets / masks / 2;
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

TEST_CASE("A bootstrap interval covers the mean of independent windows", "[likelihood][cpu]") {
  // Blocks of 32 leave few of them, which narrows the interval: 200 windows, so about 6 blocks.
  const MarkovChain chain = independent_letters({0.5, 0.5});
  int covered = 0;
  constexpr int kTexts = 300;
  const std::vector<std::int64_t> ones(200, 1);
  for (int text = 0; text < kTexts; ++text) {
    const auto tokens = chain.generate(200, static_cast<std::uint64_t>(1000 + text));
    std::vector<double> values(tokens.begin(), tokens.end());
    const Interval interval = moving_block_bootstrap(values, ones, 1);
    covered += interval.lo <= 4.5 && 4.5 <= interval.hi ? 1 : 0;
  }
  CHECK(covered >= kTexts * 85 / 100);
  CHECK(covered <= kTexts * 98 / 100);
}

TEST_CASE("Intervals of one window are unknown, of equal windows empty", "[likelihood][cpu]") {
  const Interval one =
      moving_block_bootstrap(std::vector<double>{3}, std::vector<std::int64_t>{2}, 1);
  CHECK(std::isnan(one.lo));
  CHECK(std::isnan(one.hi));
  const Interval equal =
      moving_block_bootstrap(std::vector<double>{3, 6, 9}, std::vector<std::int64_t>{1, 2, 3}, 1);
  CHECK(equal.lo == Approx(3));
  CHECK(equal.hi == Approx(3));
}

TEST_CASE("Student's t agrees with tables", "[likelihood][cpu]") {
  CHECK(student_t(1) == Approx(12.7062).epsilon(1e-4));
  CHECK(student_t(4) == Approx(2.77645).epsilon(1e-4));
  CHECK(student_t(7) == Approx(2.36462).epsilon(1e-4));
  CHECK(student_t(10) == Approx(2.22814).epsilon(1e-4));
  CHECK(student_t(30) == Approx(2.04227).epsilon(1e-4));
  CHECK(student_t(100000) == Approx(1.95999).epsilon(1e-4));
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
