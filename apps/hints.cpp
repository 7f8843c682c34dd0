#include "apps/hints.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "models/transformer.h"

namespace masque {
namespace {

// Repeats after which an epoch is worth 1/e of the first: LLaDA masks each anew.
// Prabhudesai et al. 2025, arXiv:2507.15857
constexpr double kRepeatsOfAr = 15, kRepeatsOfLlada = 500;
// A model of fewer parameters for each character has no room to learn a text by heart.
constexpr double kRoom = 0.25;
// lr · width. The presets have 0.13 to 0.4, GPT-2 and GPT-3 0.4 to 0.7.
constexpr double kHighRate = 1.2, kUsualRate = 0.3;
// LLaDA stays at the unigram for so many tokens (docs/walkthrough.md).
constexpr double kUnigramTokens = 1.5e6;
constexpr double kFewWindows = 16;      // of val
constexpr double kShareOfStart = 0.01;  // of the first, random weights in an EMA

struct Facts {
  const ModelConfig& model;
  const TrainingConfig& training;
  double train, val;  // tokens of the splits
  double rows;        // sequences a step
  double tokens;      // of the run

  double steps() const { return static_cast<double>(training.steps); }
  double context() const { return static_cast<double>(model.context); }
  bool ar() const { return model.objective == ObjectiveKind::ar; }
};

std::string many_epochs(const Facts& run) {
  const double epochs = run.tokens / run.train;
  const auto parameters = static_cast<double>(Transformer::parameter_count(run.model));
  if (run.model.dropout > 0 || epochs <= (run.ar() ? kRepeatsOfAr : kRepeatsOfLlada) ||
      parameters < kRoom * run.train) {
    return "";
  }
  return fmt::format(
      "{:.0f} epochs without dropout: {} learns so small a text by heart; set dropout=0.1 or more, "
      "or fewer steps",
      epochs, run.ar() ? "AR" : "even LLaDA");
}

std::string high_rate(const Facts& run) {
  const auto width = static_cast<double>(run.model.width);
  if (run.training.lr * width <= kHighRate) return "";
  return fmt::format("lr = {:g} is high for width {}: training may diverge; set lr={:.1g} or so",
                     run.training.lr, run.model.width, kUsualRate / width);
}

std::string long_warmup(const Facts& run) {
  if (2 * run.training.warmup <= run.training.steps) return "";
  return fmt::format("the rate rises for {} of {} steps (warmup); set warmup={} or so",
                     std::min(run.training.warmup, run.training.steps), run.training.steps,
                     run.training.steps / 10);
}

std::string large_batch(const Facts& run) {
  const double sequences = std::max(1.0, std::floor(run.train / run.context()));
  if (run.rows <= sequences) return "";
  return fmt::format(
      "a step reads {:.0f} sequences, and the train split is {:.0f} of {}: give more text, or set "
      "batch={:.0f} accumulation=1",
      run.rows, sequences, run.model.context, std::max(1.0, std::floor(sequences / 8)));
}

std::string few_val_windows(const Facts& run) {
  const double windows = std::floor(run.val / run.context());
  if (run.val <= 0 || windows >= kFewWindows) return "";
  return fmt::format(
      "the val split is {:.0f} window{} of {}: its loss says little; give more text, a larger "
      "val_fraction or a shorter context",
      windows, windows == 1 ? "" : "s", run.model.context);
}

std::string short_llada(const Facts& run) {
  if (run.ar() || run.tokens >= kUnigramTokens) return "";
  const double step = run.tokens / run.steps();
  return fmt::format(
      "LLaDA writes no better than counts of characters for its first {:.1f}M tokens, and this run "
      "has {:.1f}M: give --steps {:.0f} or more",
      kUnigramTokens / 1e6, run.tokens / 1e6, std::ceil(2 * kUnigramTokens / step));
}

std::string slow_ema(const Facts& run) {
  const double share = std::pow(run.training.ema, run.steps());
  if (run.training.ema == 0 || share <= kShareOfStart) return "";
  return fmt::format(
      "ema = {:g} forgets slowly: {:.0f}% of the average will be the random start after {} steps; "
      "set ema={:.3g}",
      run.training.ema, 100 * share, run.training.steps, std::max(0.5, 1 - 10 / run.steps()));
}

}  // namespace

std::vector<std::string> hints(const RunConfig& config) {
  const TrainingConfig& training = config.training;
  const auto text = static_cast<double>(config.data.tokens);
  const auto rows = static_cast<double>(training.batch * training.accumulation);
  const Facts run{config.model,
                  training,
                  text * training.train_fraction * training.data_fraction,
                  text * training.val_fraction,
                  rows,
                  rows * static_cast<double>(training.steps * config.model.context)};
  std::vector<std::string> found;
  for (const auto& rule :
       {many_epochs, high_rate, long_warmup, large_batch, few_val_windows, short_llada, slow_ema}) {
    if (std::string hint = rule(run); !hint.empty()) found.push_back(std::move(hint));
  }
  return found;
}

}  // namespace masque
