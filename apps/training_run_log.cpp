// What a TrainingRun says: the line on a terminal, log lines, metrics, evaluations, samples.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "apps/json.h"
#include "apps/memory_forecast.h"
#include "apps/training_run.h"
#include "core/check.h"
#include "models/files.h"
#include "models/generate_text.h"
#include "models/utf8.h"

namespace masque {
namespace {

constexpr std::size_t kShownCharacters = 80;  // of a sample, in the log
constexpr double kLong = 60;                  // seconds: a run of which it is said beforehand

}  // namespace

void TrainingRun::report_skipped() {
  if (metrics_.skipped == skipped_) return;
  progress_.line(fmt::format("step {}: the gradient was not finite, {} update{} skipped",
                             trainer_.steps_done(), metrics_.skipped - skipped_,
                             metrics_.skipped - skipped_ == 1 ? "" : "s"));
  skipped_ = metrics_.skipped;
}

void TrainingRun::estimate(double seconds_of_step) {
  if (step_time_.known()) return;
  step_time_.note(seconds_of_step);
  if (!step_time_.known() || log_ == Log::brief) return;
  const std::int64_t left = config_.training.steps - trainer_.steps_done();
  const double seconds = run_seconds(config_, left, step_time_.seconds());
  if (seconds < kLong) return;
  progress_.line(
      fmt::format("a step takes {:.3g} s, so the {} to come and their evaluations about {}; {}",
                  step_time_.seconds(), grouped(left), duration(seconds),
                  describe(forecast_memory(config_, device_, ForecastAt::running))));
}

double TrainingRun::tokens_per_second() const {
  return static_cast<double>(trainer_.tokens_seen() - logged_tokens_) / step_seconds_;
}

void TrainingRun::show_status() {
  status_ = fmt::format("loss {:.3f}{}  {} tokens/s", metrics_.loss, val_,
                        grouped(static_cast<std::int64_t>(tokens_per_second())));
}

void TrainingRun::log() {
  const std::int64_t step = trainer_.steps_done();
  const double rate = tokens_per_second();
  write_metrics({{"split", "train"},
                 {"loss", number(metrics_.loss)},
                 {"accuracy", metrics_.accuracy},
                 {"lr", metrics_.lr},
                 {"grad_norm", number(metrics_.grad_norm)},
                 {"tokens_per_second", rate}});
  if (!progress_.on_terminal() && log_ == Log::full) {
    progress_.line(fmt::format(
        "step {:>6}/{}  loss {:.4f}  accuracy {:.3f}  lr {:.2e}  grad norm {:.3f}  {:>7} tokens/s  "
        "ETA {}",
        step, config_.training.steps, metrics_.loss, metrics_.accuracy, metrics_.lr,
        metrics_.grad_norm, grouped(static_cast<std::int64_t>(rate)), progress_.eta(step)));
  }
  step_seconds_ = 0;
  logged_tokens_ = trainer_.tokens_seen();
}

double TrainingRun::log_evaluation(const char* split, const Evaluation& evaluation) {
  write_metrics({{"split", split},
                 {"loss", number(evaluation.loss)},
                 {"accuracy", number(evaluation.accuracy)}});
  return evaluation.loss;
}

void TrainingRun::evaluate() {
  const bool ar = config_.model.objective == ObjectiveKind::ar;
  // "train" lines are the steps' own batches; "train_windows" is the split measured as val is.
  const double train = log_evaluation("train_windows", trainer_.evaluate("train"));
  std::string text = fmt::format("step {:>6}  {} train {:.4f}", trainer_.steps_done(),
                                 ar ? "exact" : "nelbo ≤", train);
  bool best = false;
  if (trainer_.has_val()) {
    const Evaluation val = trainer_.evaluate("val");
    log_evaluation("val", val);
    best = trainer_.note_val(val.loss);
    val_ = fmt::format("  val {} {:.3f}", ar ? "=" : "≤", val.loss);
    text += fmt::format("  val {:.4f}", val.loss);
    if (config_.training.ema > 0) {
      const double averaged =
          log_evaluation("val_ema", trainer_.evaluate("val", Trainer::Weights::averaged));
      text += fmt::format("  ema {:.4f}", averaged);
    }
    text += fmt::format(" nats a token, accuracy {:.3f}{}", val.accuracy,
                        best ? "  (best so far)" : "");
  }
  if (log_ == Log::full || trainer_.steps_done() == config_.training.steps) progress_.line(text);
  if (log_ == Log::full) sample();
  if (best) save(true);
}

void TrainingRun::sample() {
  SampleOptions options;
  options.strategy = "ancestral";
  options.steps = std::max<std::int64_t>(1, config_.model.context / 2);
  options.draw.seed = config_.training.seed;
  std::string text;
  attempt(told_samples_, [&] {
    text = generate_text(trainer_.network(), tokenizer_, config_, "", options);
    write_file(folder_.samples() / fmt::format("step_{}.txt", trainer_.steps_done()), text + "\n");
  });
  if (text.empty()) return;
  events_.sample(trainer_.steps_done(), text);
  std::string line;
  for (const char32_t character : decode_utf8(text).substr(0, kShownCharacters)) {
    if (character == U'\n') {
      line += " / ";
    } else {
      append_utf8(line, is_control(character) ? U' ' : character);
    }
  }
  progress_.line("  sample: " + line);
}

void TrainingRun::attempt(bool& told, const std::function<void()>& work) {
  try {
    work();
    told = false;
  } catch (const Error& error) {
    if (!std::exchange(told, true)) {
      progress_.line(
          fmt::format("step {}: {}; training goes on", trainer_.steps_done(), error.what()));
    }
  }
}

void TrainingRun::write_metrics(const nlohmann::json& line) {
  nlohmann::json full = {{"step", trainer_.steps_done()},
                         {"tokens", trainer_.tokens_seen()},
                         {"epoch", trainer_.epoch()},
                         {"seconds", seconds_before_ + progress_.seconds()}};
  full.update(line);
  attempt(told_metrics_, [&] { metrics_file_.append(full.dump()); });
  events_.metrics(full);
}

RunEvents TrainingRun::events(std::optional<std::int64_t> resumed_at) {
  return RunEvents(folder_, config_, resumed_at,
                   [this](const std::string& line) { progress_.line(line); });
}

}  // namespace masque
