// Exact likelihoods of a masked diffusion model in an order: distributions, whatever the order.
#include "models/chain.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "kernels/backend.h"
#include "models/scorer.h"
#include "models/tokenizer.h"
#include "tests/support/catch.h"
#include "tests/support/tiny_network.h"
#include "tests/support/toy_likelihood.h"
#include "tests/support/toy_predictor.h"

namespace masque::test {
namespace {

constexpr std::int32_t kFirst = Tokenizer::kSpecials;

const std::vector<DecodingOrder> kAll = {DecodingOrder::l2r,    DecodingOrder::r2l,
                                         DecodingOrder::random, DecodingOrder::max_prob,
                                         DecodingOrder::margin, DecodingOrder::entropy};
const std::vector<DecodingOrder> kAdaptive = {DecodingOrder::max_prob, DecodingOrder::margin,
                                              DecodingOrder::entropy};

ChainOptions with(DecodingOrder order, std::int64_t draws = 3) {
  ChainOptions options;
  options.order = order;
  options.draws = draws;
  return options;
}

// All texts of `length` letters, one after the other.
std::vector<std::int32_t> all_texts(std::int64_t letters, std::int64_t length) {
  std::int64_t count = 1;
  for (std::int64_t i = 0; i < length; ++i) count *= letters;
  std::vector<std::int32_t> tokens;
  for (std::int64_t number = 0; number < count; ++number) {
    std::int64_t rest = number;
    for (std::int64_t i = 0; i < length; ++i, rest /= letters) {
      tokens.push_back(kFirst + static_cast<std::int32_t>(rest % letters));
    }
  }
  return tokens;
}

double total_probability(std::span<const double> nats, std::size_t step = 1) {
  double sum = 0;
  for (std::size_t k = 0; k < nats.size(); k += step) sum += std::exp(-nats[k]);
  return sum;
}

// Σ over all texts of each order's probability, and of the mixture's.
void check_distributions(Predictor& predictor, std::int64_t letters, std::int64_t length,
                         std::span<const std::uint8_t> excluded) {
  const std::vector<std::int32_t> tokens = all_texts(letters, length);
  const auto windows = cover(std::ssize(tokens), length);
  for (const DecodingOrder order : kAll) {
    CAPTURE(name_of(order));
    ChainOptions options = with(order);
    options.batch = 50;
    const ChainLikelihood chain = chain_likelihood(predictor, tokens, windows, excluded, options);
    const auto K = static_cast<std::size_t>(chain.orders);
    for (std::size_t k = 0; k < K; ++k) {
      CHECK(total_probability(std::span(chain.order_nats).subspan(k), K) == Approx(1).margin(1e-9));
    }
    CHECK(total_probability(mixture_likelihood(chain, windows, 1).window_nats) ==
          Approx(1).margin(1e-9));
  }
}

TEST_CASE("Any order of exact conditionals gives the chain's own likelihood", "[chain][cpu]") {
  const MarkovChain letters = uneven_letters();
  const auto tokens = letters.generate(43, 1);
  MarkovPredictor predictor(letters, 10, false);
  const auto windows = cover(43, 10);
  REQUIRE(windows.back().scored_from == 7);
  for (const DecodingOrder order : kAll) {
    CAPTURE(name_of(order));
    const ChainLikelihood chain =
        chain_likelihood(predictor, tokens, windows, letters.excluded(), with(order));
    const Likelihood mixture = mixture_likelihood(chain, windows, 1);
    CHECK(chain.mean.tokens == 43);
    CHECK(mixture.tokens == 43);
    for (std::size_t w = 0; w < windows.size(); ++w) {
      const double truth = window_nats(letters, tokens, windows[w]);
      CHECK(chain.mean.window_nats[w] == Approx(truth).margin(1e-9));
      CHECK(mixture.window_nats[w] == Approx(truth).margin(1e-9));
    }
  }
}

TEST_CASE("Every order of a wrong model is a distribution over texts", "[chain][cpu]") {
  const MarkovChain letters = uneven_letters();
  MarkovPredictor predictor(letters, 4, false, 1.0);
  check_distributions(predictor, 3, 4, letters.excluded());

  // And over what follows a given start, in an overlapping last window.
  std::vector<std::int32_t> tokens = all_texts(3, 4);
  std::vector<Window> windows = cover(std::ssize(tokens), 4);
  std::vector<Window> given;
  for (Window window : windows) {
    if (tokens[static_cast<std::size_t>(window.begin)] != kFirst + 2) continue;
    window.scored_from = 1;
    given.push_back(window);
  }
  for (const DecodingOrder order : kAll) {
    const ChainLikelihood chain =
        chain_likelihood(predictor, tokens, given, letters.excluded(), with(order, 1));
    CHECK(total_probability(chain.order_nats) == Approx(1).margin(1e-9));
    CHECK(chain.mean.window_tokens.front() == 3);
  }
}

// Excludes all but the first few letters of TinyNetwork, so that texts can be enumerated.
std::vector<std::uint8_t> only_letters(std::int64_t letters) {
  std::vector<std::uint8_t> excluded = TinyNetwork::excluded();
  std::fill(excluded.begin() + kFirst + letters, excluded.end(), std::uint8_t{1});
  return excluded;
}

TEST_CASE("Every order of a network is a distribution over texts", "[chain][cpu]") {
  // f32 and bf16 too: to 1e-9, since one partial state has the same logits wherever it stands.
  const Device device =
      GENERATE(Device(On<Cpu, double>{}), Device(On<Cpu, float>{}), Device(On<Cpu, bf16>{}));
  TinyNetwork tiny(ObjectiveKind::llada, device);
  check_distributions(tiny.network(), 3, 4, only_letters(3));
}

TEST_CASE("A wrong model's orders differ, and the mixture lies within its bounds", "[chain][cpu]") {
  const MarkovChain letters = uneven_letters();
  const auto tokens = letters.generate(195, 2);
  MarkovPredictor predictor(letters, 10, false, 1.0);
  const auto windows = cover(195, 10);
  constexpr std::size_t K = 5;
  const ChainLikelihood chain = chain_likelihood(predictor, tokens, windows, letters.excluded(),
                                                 with(DecodingOrder::random, K));
  const Likelihood mixture = mixture_likelihood(chain, windows, 1);
  REQUIRE(chain.order_nats.size() == windows.size() * K);
  for (std::size_t w = 0; w < windows.size(); ++w) {
    const auto nats = std::span(chain.order_nats).subspan(w * K, K);
    const double least = *std::min_element(nats.begin(), nats.end());
    const double mean = std::accumulate(nats.begin(), nats.end(), 0.0) / K;
    CHECK(*std::max_element(nats.begin(), nats.end()) > least + 0.01);
    CHECK(chain.mean.window_nats[w] == Approx(mean).epsilon(1e-12));
    CHECK(mixture.window_nats[w] >= least - 1e-9);
    CHECK(mixture.window_nats[w] <= std::min(mean, least + std::log(double{K})) + 1e-9);
  }
  CHECK(mixture.nats_per_token < chain.mean.nats_per_token);
  CHECK(mixture.ci95.lo == mixture.nats_per_token);
  CHECK(mixture.ci95_text.lo < mixture.nats_per_token);
  CHECK(std::isnan(mixture.accuracy));
  CHECK(chain.mean.ci95.lo < chain.mean.nats_per_token);
  CHECK(chain.mean.ci95.hi > chain.mean.nats_per_token);

  // One order is exact; the first orders do not depend on how many there are.
  const ChainLikelihood one = chain_likelihood(predictor, tokens, windows, letters.excluded(),
                                               with(DecodingOrder::random, 1));
  CHECK(one.mean.ci95.lo == one.mean.ci95.hi);
  for (std::size_t w = 0; w < windows.size(); ++w) {
    CHECK(one.order_nats[w] == chain.order_nats[w * K]);
  }
  ChainOptions other = with(DecodingOrder::random, 1);
  other.seed = 2;
  CHECK(chain_likelihood(predictor, tokens, windows, letters.excluded(), other).order_nats !=
        one.order_nats);
}

TEST_CASE("The mean over random orders is the nelbo", "[chain][cpu]") {
  const MarkovChain letters = uneven_letters();
  const auto tokens = letters.generate(395, 3);
  MarkovPredictor predictor(letters, 8, false, 1.0);
  const auto windows = cover(395, 8);
  const ChainLikelihood chain = chain_likelihood(predictor, tokens, windows, letters.excluded(),
                                                 with(DecodingOrder::random, 64));
  LikelihoodOptions options;
  options.draws = 128;
  const Likelihood nelbo =
      nelbo_likelihood(predictor, tokens, windows, letters.excluded(), options);
  const Interval difference = paired_difference(chain.mean, nelbo, 1);
  CHECK(difference.lo < 0);
  CHECK(difference.hi > 0);
  CHECK(difference.hi - difference.lo < 0.02);
  CHECK(nelbo.nats_per_token > chain.mean.ci95.lo);
  CHECK(nelbo.nats_per_token < chain.mean.ci95.hi);
  // A single order is another number, and the interval tells: it is no test that always holds.
  double furthest = 0;
  for (std::size_t k = 0; k < 64; ++k) {
    Likelihood one = chain.mean;
    for (std::size_t w = 0; w < one.window_nats.size(); ++w) {
      one.window_nats[w] = chain.order_nats[w * 64 + k];
    }
    const Interval of_one = paired_difference(one, nelbo, 1);
    furthest = std::max({furthest, of_one.lo, -of_one.hi});
  }
  CHECK(furthest > 0.01);

  // And so are their curves by the number of unknown tokens: n = 8 counts in as many bins.
  REQUIRE(chain.mean.by_masked.size() == 8);
  double sum = 0;
  for (std::size_t bin = 0; bin < 8; ++bin) {
    const MaskedBin& unknown = chain.mean.by_masked[bin];
    CHECK(unknown.lo == static_cast<std::int64_t>(bin) + 1);
    CHECK(unknown.hi == unknown.lo);
    CHECK(unknown.draws == 49 * 64);
    CHECK(unknown.nats == Approx(nelbo.by_masked[bin].nats).margin(0.06));
    sum += unknown.nats;
  }
  double full = 0;
  for (std::size_t w = 0; w < 49; ++w) full += chain.mean.window_nats[w] / 49;
  CHECK(sum == Approx(full).epsilon(1e-9));
}

// At each position its own distribution of four letters, whatever is known.
class FixedPredictor : public Predictor {
 public:
  explicit FixedPredictor(std::vector<std::vector<double>> probabilities)
      : probabilities_(std::move(probabilities)) {}
  std::int64_t vocab_size() const override { return kFirst + 4; }
  std::int64_t context() const override { return std::ssize(probabilities_); }
  void predict(const PredictorInput& input, std::span<double> logits) override {
    for (std::size_t k = 0; k < input.rows.size(); ++k) {
      const auto row = logits.subspan(k * 8, 8);
      std::fill(row.begin(), row.begin() + kFirst, 50.0);
      const auto i = static_cast<std::size_t>(input.rows[k] % input.T);
      for (std::size_t v = 0; v < 4; ++v) row[kFirst + v] = std::log(probabilities_[i][v]);
    }
  }

 private:
  std::vector<std::vector<double>> probabilities_;  // (T,4)
};

TEST_CASE("Adaptive orders decode what they say, ties the lowest first", "[chain][cpu]") {
  const std::vector<double> first = {0.6, 0.2, 0.1, 0.1}, second = {0.55, 0.45, 0, 0},
                            third = {0.5, 0.28, 0.22, 0};
  FixedPredictor predictor({third, first, second, first});
  std::vector<std::uint8_t> excluded(8);
  std::fill_n(excluded.begin(), kFirst, std::uint8_t{1});
  // Tokens whose nll tells the position: 0.28, 0.2, 0.45 and 0.1 probable.
  const std::vector<std::int32_t> tokens = {kFirst + 1, kFirst + 1, kFirst + 1, kFirst + 2};
  const auto decoded = [&](DecodingOrder order) {
    const ChainLikelihood chain =
        chain_likelihood(predictor, tokens, cover(4, 4), excluded, with(order));
    std::vector<int> positions;
    for (std::size_t bin = 4; bin-- > 0;) {
      const double probability = std::exp(-chain.mean.by_masked[bin].nats);
      positions.push_back(
          static_cast<int>(std::map<int, int>{{28, 0}, {20, 1}, {45, 2}, {10, 3}}.at(
              static_cast<int>(std::lround(100 * probability)))));
    }
    return positions;
  };
  CHECK(decoded(DecodingOrder::max_prob) == std::vector<int>{1, 3, 2, 0});
  CHECK(decoded(DecodingOrder::margin) == std::vector<int>{1, 3, 0, 2});
  CHECK(decoded(DecodingOrder::entropy) == std::vector<int>{2, 0, 1, 3});
  CHECK(decoded(DecodingOrder::l2r) == std::vector<int>{0, 1, 2, 3});
  CHECK(decoded(DecodingOrder::r2l) == std::vector<int>{3, 2, 1, 0});
}

TEST_CASE("A partial state has the same bits in any row of any batch", "[chain][cpu]") {
  const Device device = GENERATE(Device(On<Cpu, float>{}), Device(On<Cpu, bf16>{}));
  TinyNetwork tiny(ObjectiveKind::llada, device);
  constexpr std::int64_t T = TinyNetwork::kContext;
  const std::vector<std::uint8_t> excluded = TinyNetwork::excluded();
  // State s knows tokens that depend on s, and is asked for all others.
  const auto logits_of = [&](const std::vector<int>& states, std::int64_t sequences,
                             std::int64_t positions) {
    Scorer scorer(tiny.network(), excluded, T);
    std::vector<std::size_t> asked(states.size() + 1);
    for (std::size_t b = 0; b < states.size(); ++b) {
      const std::span<std::int32_t> ids = scorer.add_sequence();
      asked[b + 1] = asked[b];
      for (std::int64_t i = 0; i < T; ++i) {
        const auto token = static_cast<std::int32_t>(kFirst + (7 * states[b] + 3 * i) % 19);
        const bool unknown = (states[b] + i * i) % 3 != 0;
        ids[static_cast<std::size_t>(i)] = unknown ? Tokenizer::kMask : token;
        if (!unknown) continue;
        scorer.ask(i, token);
        ++asked[b + 1];
      }
    }
    scorer.run(sequences, positions);
    std::vector<std::vector<double>> logits(states.size());
    for (std::size_t b = 0; b < states.size(); ++b) {
      for (std::size_t question = asked[b]; question < asked[b + 1]; ++question) {
        const auto row = scorer.logits(question);
        logits[b].insert(logits[b].end(), row.begin(), row.end());
      }
    }
    return logits;
  };
  const auto alone = logits_of({5}, 1, 1).front();
  REQUIRE(alone.size() >= TinyNetwork::kVocabulary);
  for (const int size : {2, 3, 17, 60, 250}) {  // past each of the products' ways to cut rows
    std::vector<int> states(static_cast<std::size_t>(size));
    std::iota(states.begin(), states.end(), 6);
    for (const std::size_t row : {std::size_t{0}, states.size() / 2, states.size() - 1}) {
      std::vector<int> with_it = states;
      with_it[row] = 5;
      CHECK(logits_of(with_it, 1, 1)[row] == alone);
    }
  }
  CHECK(logits_of({5}, 70, 70 * T).front() == alone);
}

TEST_CASE("No likelihood of a network depends on the batch", "[chain][cpu]") {
  const Device device = GENERATE(Device(On<Cpu, float>{}), Device(On<Cpu, bf16>{}));
  const std::vector<std::uint8_t> excluded = TinyNetwork::excluded();
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < 32; ++i) tokens.push_back(kFirst + (i * i + i / 7) % 19);
  const auto windows = cover(32, TinyNetwork::kContext);
  TinyNetwork llada(ObjectiveKind::llada, device), ar(ObjectiveKind::ar, device);
  LikelihoodOptions options;
  options.draws = 4;
  const Likelihood nelbo = nelbo_likelihood(llada.network(), tokens, windows, excluded, options);
  const Likelihood exact = exact_likelihood(ar.network(), tokens, windows, excluded, options);
  std::map<DecodingOrder, ChainLikelihood> chains;
  for (const DecodingOrder order : kAll) {
    chains[order] = chain_likelihood(llada.network(), tokens, windows, excluded, with(order, 2));
  }
  for (const std::int64_t batch : {2, 1000}) {
    options.batch = batch;
    CHECK(nelbo_likelihood(llada.network(), tokens, windows, excluded, options).window_nats ==
          nelbo.window_nats);
    CHECK(exact_likelihood(ar.network(), tokens, windows, excluded, options).window_nats ==
          exact.window_nats);
    for (const DecodingOrder order : kAll) {
      CAPTURE(name_of(order), batch);
      ChainOptions how = with(order, 2);
      how.batch = batch;
      const ChainLikelihood chain =
          chain_likelihood(llada.network(), tokens, windows, excluded, how);
      CHECK(chain.order_nats == chains[order].order_nats);
      CHECK(chain.mean.by_position == chains[order].mean.by_position);
    }
  }
}

TEST_CASE("A chain takes as many forwards as it says, and tells of its progress", "[chain][cpu]") {
  const MarkovChain letters = uneven_letters();
  const auto tokens = letters.generate(23, 4);
  const auto windows = cover(23, 5);
  CHECK(chain_forwards(windows, 2) == 46);
  for (const DecodingOrder order : {DecodingOrder::random, DecodingOrder::margin}) {
    MarkovPredictor predictor(letters, 5, false, 0.5);
    ChainOptions options = with(order, 2);
    options.batch = 10;
    std::vector<std::int64_t> seen;
    options.progress = [&](std::int64_t done, std::int64_t total) {
      CHECK(total == 5);
      seen.push_back(done);
    };
    const ChainLikelihood chain =
        chain_likelihood(predictor, tokens, windows, letters.excluded(), options);
    CHECK(predictor.forwards == 5);  // 46 states in batches of 10; 5 positions of all windows
    CHECK(std::is_sorted(seen.begin(), seen.end()));
    CHECK(seen.back() == 5);
    // By position: full windows alone.
    REQUIRE(chain.mean.by_position.size() == 5);
    double full = 0;
    for (std::size_t w = 0; w < 4; ++w) full += chain.mean.window_nats[w] / 4;
    CHECK(std::accumulate(chain.mean.by_position.begin(), chain.mean.by_position.end(), 0.0) ==
          Approx(full).epsilon(1e-9));
  }
}

TEST_CASE("Orders have names, and unknown ones are refused", "[chain][cpu]") {
  for (const DecodingOrder order : kAll) CHECK(order_of(name_of(order)) == order);
  CHECK_THROWS_WITH(order_of("l2l"), Catch::Contains("unknown order 'l2l'") &&
                                         Catch::Contains("l2r, r2l, random, max_prob"));
  const MarkovChain letters = uneven_letters();
  MarkovPredictor predictor(letters, 5, false);
  CHECK_THROWS_AS(chain_likelihood(predictor, letters.generate(10, 5), cover(10, 5),
                                   letters.excluded(), with(DecodingOrder::random, 0)),
                  InputError);
}

}  // namespace
}  // namespace masque::test
