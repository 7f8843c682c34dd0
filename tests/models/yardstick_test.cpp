// Both objectives, trained on the synthetic source and held against its own −log P(window) on fresh
// windows: close to it, and never better than chance allows.
#include <cmath>
#include <cstdio>
#include <vector>

#include "models/likelihood.h"
#include "models/source.h"
#include "models/trainer.h"
#include "tests/support/catch.h"

namespace masque::test {
namespace {

constexpr std::int64_t kContext = 32;
constexpr std::int64_t kWindows = 512;

// Words of two letters in two alternating slots, and full stops: what a mask hides can often, not
// always, be told from its neighbours.
Source small_source() {
  return Source({{{'a', 1, 0.5}, {'b', 2, 0.3}, {'c', 3, 0.2}},
                 {{'a', 4, 0.7}, {'d', 4, 0.3}},
                 {{'b', 4, 1}},
                 {{'a', 4, 0.4}, {'c', 4, 0.6}},
                 {{' ', 5, 0.8}, {'.', 6, 0.2}},
                 {{'e', 7, 0.6}, {'f', 8, 0.4}},
                 {{' ', 0, 1}},
                 {{'e', 9, 1}},
                 {{'a', 9, 0.5}, {'f', 9, 0.5}},
                 {{' ', 0, 0.7}, {'.', 6, 0.3}}});
}

RunConfig config_of(ObjectiveKind objective) {
  RunConfig config;
  config.model.objective = objective;
  config.model.context = kContext;
  config.model.layers = 3;
  config.model.heads = 4;
  config.model.width = 64;
  config.model.norm = "rmsnorm";
  config.model.mlp = "swiglu";
  config.model.position = "rope";
  config.model.bias = false;
  config.training.batch = 32;
  config.training.steps = objective == ObjectiveKind::ar ? 300 : 3000;
  config.training.lr = 3e-3;
  config.training.min_lr = 1e-4;
  config.training.warmup = 50;
  config.training.val_fraction = 0;
  config.training.train_fraction = 1;
  return config;
}

TEST_CASE("trained on the source, both models come close to it and neither beats it", "[slow]") {
  const ObjectiveKind objective = GENERATE(ObjectiveKind::llada, ObjectiveKind::ar);
  const Source source = small_source();
  const Tokenizer tokenizer = source.tokenizer();
  RunConfig config = config_of(objective);
  config.model.vocab_size = tokenizer.vocab_size();
  config = resolve(config);
  Trainer trainer(config, tokenizer,
                  split_tokens(tokenizer.encode(source.generate(1'000'000, 1)), 1, 0),
                  On<Cpu, float>{});
  while (trainer.steps_done() < config.training.steps) {
    trainer.step();
    const StepMetrics metrics = trainer.metrics();
    REQUIRE(metrics.finite);
    if (std::getenv("MASQUE_VERBOSE") != nullptr && trainer.steps_done() % 100 == 0) {
      std::printf("step %lld loss %.4f\n", static_cast<long long>(trainer.steps_done()),
                  metrics.loss);
      std::fflush(stdout);
    }
  }

  // Independent windows, each from the stationary start, of seeds that training never saw.
  std::string text;
  double source_nats = 0;
  std::vector<double> source_window;
  for (std::int64_t w = 0; w < kWindows; ++w) {
    const std::string window = source.generate(kContext, 1'000 + static_cast<std::uint64_t>(w));
    source_window.push_back(source.window_nats(window));
    source_nats += source_window.back();
    text += window;
  }
  const std::vector<std::int32_t> tokens = tokenizer.encode(text);
  LikelihoodOptions options;
  options.draws = 64;
  const auto estimate = objective == ObjectiveKind::ar ? exact_likelihood : nelbo_likelihood;
  const Likelihood model =
      estimate(trainer.network(), tokens, cover(static_cast<std::int64_t>(tokens.size()), kContext),
               tokenizer.excluded(), options);

  // Paired: the mean excess over the source, and its standard error over windows.
  double excess = 0, squares = 0;
  for (std::size_t w = 0; w < source_window.size(); ++w) {
    const double difference = (model.window_nats[w] - source_window[w]) / kContext;
    excess += difference / kWindows;
    squares += difference * difference / kWindows;
  }
  const double error = std::sqrt((squares - excess * excess) / (kWindows - 1));
  WARN(name_of(objective) << ": source " << source_nats / static_cast<double>(tokens.size())
                          << " nats a token, model +" << excess << " ± " << error);
  CHECK(excess + 2 * error < 0.05);
  // P(a fixed model beats the source by δ nats in total) ≤ e^−δ: here one in a million. The nelbo
  // is estimated, so its own error is allowed for.
  const double noise = (model.ci95.hi - model.ci95.lo) / 2 * static_cast<double>(tokens.size());
  CHECK(model.nats_per_token * static_cast<double>(tokens.size()) + 2 * noise >
        source_nats - std::log(1e6));
}

}  // namespace
}  // namespace masque::test
