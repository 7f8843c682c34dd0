// The estimators return the synthetic source's own likelihood when the model is the source.
#include <cmath>

#include "models/chain.h"
#include "models/likelihood.h"
#include "models/source.h"
#include "tests/support/catch.h"

namespace masque::test {
namespace {

constexpr std::int64_t kLength = 32;

struct SourceText {
  Source source;
  Tokenizer tokenizer = source.tokenizer();
  std::string text;
  std::vector<std::int32_t> tokens;
  std::vector<Window> windows;

  explicit SourceText(std::int64_t characters)
      : text(source.generate(characters, 5)),
        tokens(tokenizer.encode(text)),
        windows(cover(characters, kLength)) {}

  // −log P of the scored characters given the visible ones.
  double nats(const Window& window) const {
    const std::string_view all = std::string_view(text).substr(
        static_cast<std::size_t>(window.begin), static_cast<std::size_t>(window.length));
    const auto visible = all.substr(0, static_cast<std::size_t>(window.scored_from));
    return source.window_nats(all) - (visible.empty() ? 0 : source.window_nats(visible));
  }
};

TEST_CASE("exact of the oracle is the source's own, window by window", "[likelihood][cpu]") {
  const SourceText data(1000);
  REQUIRE(data.windows.back().scored_from > 0);
  Oracle oracle(data.source, data.tokenizer, kLength, true);
  const Likelihood result =
      exact_likelihood(oracle, data.tokens, data.windows, data.tokenizer.excluded(), {});
  double total = 0;
  for (std::size_t w = 0; w < data.windows.size(); ++w) {
    const double truth = data.nats(data.windows[w]);
    CHECK(std::abs(result.window_nats[w] - truth) < 1e-9);
    total += truth;
  }
  CHECK(result.tokens == 1000);
  CHECK(std::abs(result.nats_per_token - total / 1000) < 1e-9);
}

TEST_CASE("nelbo of the oracle holds the source's own in its interval", "[likelihood][cpu]") {
  const SourceText data(500);
  Oracle oracle(data.source, data.tokenizer, kLength, false);
  double total = 0;
  for (const Window& window : data.windows) total += data.nats(window);
  LikelihoodOptions options;
  options.draws = 64;
  const Likelihood result =
      nelbo_likelihood(oracle, data.tokens, data.windows, data.tokenizer.excluded(), options);
  CHECK(result.ci95.lo < total / 500);
  CHECK(result.ci95.hi > total / 500);
  CHECK(result.ci95.hi - result.ci95.lo < 0.1);
}

TEST_CASE("chain and mixture of the oracle are the source's own, whatever the order",
          "[likelihood][chain][cpu]") {
  const SourceText data(150);
  REQUIRE(data.windows.back().scored_from > 0);
  Oracle oracle(data.source, data.tokenizer, kLength, false);
  for (const std::string& name : order_names()) {
    CAPTURE(name);
    ChainOptions options;
    options.order = order_of(name);
    options.draws = 2;
    const ChainLikelihood chain =
        chain_likelihood(oracle, data.tokens, data.windows, data.tokenizer.excluded(), options);
    const Likelihood mixture = mixture_likelihood(chain, data.windows, 1);
    const auto K = static_cast<std::size_t>(chain.orders);
    for (std::size_t w = 0; w < data.windows.size(); ++w) {
      const double truth = data.nats(data.windows[w]);
      for (std::size_t k = 0; k < K; ++k) {
        CHECK(std::abs(chain.order_nats[w * K + k] - truth) < 1e-9);
      }
      CHECK(std::abs(mixture.window_nats[w] - truth) < 1e-9);
    }
  }
}

}  // namespace
}  // namespace masque::test
