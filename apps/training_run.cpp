#include "apps/training_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "apps/environment.h"
#include "apps/json.h"
#include "apps/machine.h"
#include "apps/memory_forecast.h"
#include "core/check.h"
#include "core/out_of_memory.h"
#include "core/products.h"
#include "models/corpus.h"
#include "models/device_sampler.h"
#include "models/files.h"

namespace masque {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kShownCharacters = 80;  // of a sample, in the log
constexpr std::int64_t kMostTimesBack = 3;    // from one stretch of steps
constexpr double kLongRun = 60;               // seconds, from which on its length is foretold

}  // namespace

TrainingRun::TrainingRun(RunFolder folder, RunConfig config, Tokenizer tokenizer, Trainer& trainer,
                         Device device, Log log)
    : folder_(std::move(folder)),
      config_(std::move(config)),
      tokenizer_(std::move(tokenizer)),
      trainer_(trainer),
      device_(device),
      log_(log),
      progress_(config_.training.steps, trainer.steps_done()),
      writer_(folder_, config_.training.keep,
              [this](const std::string& text) { progress_.line(text); }),
      watch_(config_.training.spike_z),
      logged_tokens_(trainer.tokens_seen()) {
  watch_.went_back(trainer.steps_done());
}

void TrainingRun::create() {
  lock_ = folder_.create();
  write_file(folder_.config(), to_json(config_).dump(2) + "\n");
  tokenizer_.save(folder_.tokenizer());
  write_file(
      folder_.environment(),
      run_environment(device_, config_.data.file, config_.training.tokenizer).dump(2) + "\n");
  make_folder(folder_.samples());
  metrics_file_.open(folder_.metrics());
  events_ = events(std::nullopt);
}

void TrainingRun::reopen() {
  seconds_before_ = drop_later_metrics();
  write_file(folder_.config(), to_json(config_).dump(2) + "\n");
  write_file(
      folder_.environment(),
      resumed_environment(folder_.environment(), trainer_.steps_done(), device_).dump(2) + "\n");
  saved_step_ = trainer_.steps_done();
  reuse_products();
  progress_.line(fmt::format("resumed at step {}", trainer_.steps_done()));
}

double TrainingRun::drop_later_metrics() {
  std::ifstream old(folder_.metrics());
  std::string kept;
  double seconds = 0;
  for (std::string line; std::getline(old, line);) {
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_object() && json.value("step", std::int64_t{0}) <= trainer_.steps_done()) {
      kept += line + "\n";
      seconds = json.value("seconds", seconds);
    }
  }
  write_file(folder_.metrics(), kept);
  metrics_file_.open(folder_.metrics());
  events_ = events(trainer_.steps_done());
  return seconds;
}

void TrainingRun::reuse_products() {
  if (!on_gpu(device_) || !std::filesystem::exists(folder_.products())) return;
  if (use_product_algorithms(device_, read_text(folder_.products()))) return;
  progress_.line(fmt::format(
      "{} is of another GPU or cublasLt: products are timed anew, and last bits may differ",
      folder_.products().string()));
}

int TrainingRun::go() {
  const TrainingConfig& training = config_.training;
  catch_interrupts();
  while (trainer_.steps_done() < training.steps && interrupt_signal() == 0) {
    const auto start = std::chrono::steady_clock::now();
    trainer_.step();
    writer_.poll();
    const std::int64_t step = trainer_.steps_done();
    const auto due = [&](std::int64_t every) {
      return step % every == 0 || step == training.steps;
    };
    const bool any_due =
        due(training.log_every) || due(training.eval_every) || due(training.save_every);
    const bool looks = any_due || !on_gpu(device_);  // waits for a GPU, so there only now and then
    if (looks) metrics_ = trainer_.metrics();
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    step_seconds_ += seconds;
    if (const auto known = clock_.note(seconds, looks)) foretell(*known);
    if (looks) {
      const LossWatch::Verdict verdict = watch_.note(step, metrics_);
      if (verdict != LossWatch::Verdict::good) {
        go_back(verdict);
        continue;
      }
    }
    if (any_due) report_skipped();
    progress_.update(step, fmt::format("loss {:.3f}", metrics_.loss));
    if (due(training.log_every)) log();
    if (due(training.eval_every)) evaluate();
    // Not while numbers go wrong: what is kept stays good.
    save_wanted_ = save_wanted_ || due(training.save_every);
    const bool well = watch_.good_step() == step || step == training.steps;
    if (save_wanted_ && well) {
      if (saved_step_ != step) save(!trainer_.has_val());
      save_wanted_ = false;
    }
  }
  if (interrupt_signal() == 0) {
    finish();
    if (log_ == Log::brief) return 0;
    progress_.line(fmt::format("done in {}, at most {} of memory: {}",
                               duration(progress_.seconds()), readable_bytes(process_memory().peak),
                               folder_.path().string()));
    return 0;
  }
  if (saved_step_ != trainer_.steps_done()) save(!trainer_.has_val());
  finish();
  progress_.line(fmt::format("interrupted and saved at step {}", trainer_.steps_done()));
  if (log_ == Log::full) {
    progress_.line(fmt::format("go on with: masque train {} --resume", folder_.path().string()));
  }
  return 128 + interrupt_signal();
}

void TrainingRun::foretell(double seconds_per_step) {
  const double left =
      seconds_per_step * static_cast<double>(config_.training.steps - trainer_.steps_done());
  if (log_ == Log::brief || left < kLongRun) return;
  progress_.line(fmt::format("a step takes {:.3f} s: about {} to go, evaluations aside; {}",
                             seconds_per_step, duration(left),
                             describe(forecast_memory(config_, device_, ForecastAt::running))));
}

void TrainingRun::report_skipped() {
  if (metrics_.skipped == skipped_) return;
  progress_.line(fmt::format("step {}: the gradient was not finite, {} update{} skipped",
                             trainer_.steps_done(), metrics_.skipped - skipped_,
                             metrics_.skipped - skipped_ == 1 ? "" : "s"));
  skipped_ = metrics_.skipped;
}

void TrainingRun::log() {
  const std::int64_t step = trainer_.steps_done();
  const double rate = static_cast<double>(trainer_.tokens_seen() - logged_tokens_) / step_seconds_;
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

void TrainingRun::evaluate() {
  const bool ar = config_.model.objective == ObjectiveKind::ar;
  // "train" lines are the steps' own batches; "train_windows" is the split measured as val is.
  const Evaluation train = trainer_.evaluate("train");
  write_metrics(
      {{"split", "train_windows"}, {"loss", number(train.loss)}, {"accuracy", train.accuracy}});
  const char* bound = ar ? "exact" : "nelbo ≤";
  std::string text =
      fmt::format("step {:>6}  {} train {:.4f}", trainer_.steps_done(), bound, train.loss);
  bool best = false;
  if (trainer_.has_val()) {
    const Evaluation val = trainer_.evaluate("val");
    write_metrics({{"split", "val"}, {"loss", number(val.loss)}, {"accuracy", val.accuracy}});
    best = trainer_.note_val(val.loss);
    text += fmt::format("  val {:.4f} nats a token, accuracy {:.3f}{}", val.loss, val.accuracy,
                        best ? "  (best so far)" : "");
  }
  if (log_ == Log::full || trainer_.steps_done() == config_.training.steps) progress_.line(text);
  if (log_ == Log::full) sample();
  if (best) save(true);
}

void TrainingRun::sample() {
  const ModelConfig& model = config_.model;
  const std::vector<std::uint8_t> excluded = tokenizer_.excluded();
  DrawOptions draw;
  draw.seed = config_.training.seed;
  SampleResult result;
  std::size_t skip = 0;
  if (model.objective == ObjectiveKind::ar) {
    // Without [START] a run begins from a line break, as nanoGPT's sample.py does.
    std::vector<std::int32_t> prompt{Tokenizer::kStart};
    if (!config_.training.start_token)
      prompt = {tokenizer_.line_break().value_or(Tokenizer::kSpecials)};
    skip = config_.training.start_token ? 1 : 0;
    result = generate_ar(trainer_.network(), 1, prompt, model.context - 1, excluded, draw);
  } else {
    SampleOptions options;
    options.strategy = "ancestral";
    options.steps = std::max<std::int64_t>(1, model.context / 2);
    options.draw = draw;
    result = generate_llada(
        trainer_.network(),
        std::vector<std::int32_t>(static_cast<std::size_t>(model.context), Tokenizer::kMask),
        model.context, excluded, options);
  }
  const auto ids = std::span<const std::int32_t>(result.ids).subspan(skip);
  const std::string text = tokenizer_.decode(ids);
  attempt(told_samples_, [&] {
    write_file(folder_.samples() / fmt::format("step_{}.txt", trainer_.steps_done()), text + "\n");
  });
  events_.sample(trainer_.steps_done(), text);
  std::string line = tokenizer_.decode(ids.first(std::min(ids.size(), kShownCharacters)));
  for (std::size_t at = 0; (at = line.find('\n', at)) != std::string::npos; at += 3) {
    line.replace(at, 1, " / ");
  }
  progress_.line("  sample: " + line);
}

void TrainingRun::save(bool best) {
  writer_.settle();  // or two copies of the weights would be held
  writer_.save(trainer_.snapshot(), best);
  saved_step_ = trainer_.steps_done();
  if (!on_gpu(device_)) return;
  const std::string products = product_algorithms(device_);
  if (products == saved_products_) return;
  attempt(told_products_, [&] {
    write_file(folder_.products(), products);
    saved_products_ = products;
  });
}

void TrainingRun::finish() {
  attempt(told_metrics_, [&] { metrics_file_.flush(); });
  if (metrics_file_.kept() > 0) {
    progress_.line(fmt::format("{}: its last {} bytes could not be written and are lost",
                               folder_.metrics().string(), metrics_file_.kept()));
  }
  writer_.finish();
}

template <class Work>
void TrainingRun::attempt(bool& told, Work work) {
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

void TrainingRun::go_back(LossWatch::Verdict verdict) {
  const std::int64_t step = trainer_.steps_done();
  const std::string what =
      verdict == LossWatch::Verdict::spike
          ? fmt::format("the loss, {:.4f}, has left its mean of {:.4f}", metrics_.loss,
                        watch_.mean())
          : fmt::format("{} updates in a row had no finite gradient", LossWatch::kMostSkipped);
  const std::string mend =
      fmt::format("lower lr (it is {:g}), raise warmup ({}) or clip harder ({:g})",
                  config_.training.lr, config_.training.warmup, config_.training.clip);
  report_skipped();
  if (step > furthest_step_) times_back_ = 0;
  furthest_step_ = std::max(furthest_step_, step);
  if (++times_back_ > kMostTimesBack) {
    throw Error(
        fmt::format("diverged at step {}: {}, {} times; {}", step, what, times_back_, mend));
  }
  writer_.finish();
  std::filesystem::path good;
  try {
    good = folder_.go_back_to(watch_.good_step());
  } catch (const InputError&) {
    throw Error(fmt::format("diverged at step {}: {}, and there is no checkpoint before it; {}",
                            step, what, mend));
  }
  trainer_.go_back(good);
  watch_.went_back(trainer_.steps_done());
  saved_step_ = trainer_.steps_done();
  logged_tokens_ = trainer_.tokens_seen();
  step_seconds_ = 0;
  attempt(told_metrics_, [&] { drop_later_metrics(); });
  progress_.line(fmt::format("step {}: {}: back to step {}, and on with other data", step, what,
                             trainer_.steps_done()));
}

void TrainingRun::write_metrics(const Json& line) {
  Json full = {{"step", trainer_.steps_done()},
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
