#include "apps/training_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "apps/environment.h"
#include "core/check.h"
#include "core/products.h"
#include "models/dataset.h"
#include "models/device_sampler.h"

namespace masque {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kShownCharacters = 80;  // of a sample, in the log

// JSON has no NaN or infinity.
Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

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
      logged_tokens_(trainer.tokens_seen()) {}

void TrainingRun::create() {
  folder_.create();
  write_file(folder_.config(), to_json(config_).dump(2) + "\n");
  tokenizer_.save(folder_.tokenizer());
  write_file(folder_.environment(), run_environment(device_, config_.data.file).dump(2) + "\n");
  std::filesystem::create_directories(folder_.samples());
  metrics_file_.open(folder_.metrics(), std::ios::app);
  events_ = events(std::nullopt);
}

void TrainingRun::reopen() {
  std::ifstream old(folder_.metrics());
  std::string kept;
  for (std::string line; std::getline(old, line);) {
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_object() && json.value("step", std::int64_t{0}) <= trainer_.steps_done()) {
      kept += line + "\n";
      seconds_before_ = json.value("seconds", seconds_before_);
    }
  }
  write_file(folder_.metrics(), kept);
  write_file(folder_.config(), to_json(config_).dump(2) + "\n");
  write_file(
      folder_.environment(),
      resumed_environment(folder_.environment(), trainer_.steps_done(), device_).dump(2) + "\n");
  metrics_file_.open(folder_.metrics(), std::ios::app);
  events_ = events(trainer_.steps_done());
  saved_step_ = trainer_.steps_done();
  reuse_products();
  progress_.line(fmt::format("resumed at step {}", trainer_.steps_done()));
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
    const std::int64_t step = trainer_.steps_done();
    const auto due = [&](std::int64_t every) {
      return step % every == 0 || step == training.steps;
    };
    const bool any_due =
        due(training.log_every) || due(training.eval_every) || due(training.save_every);
    if (any_due) metrics_ = trainer_.metrics();  // waits for a GPU, so only now and then
    step_seconds_ +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (any_due) report_skipped();
    progress_.update(step, fmt::format("loss {:.3f}", metrics_.loss));
    if (due(training.log_every)) log();
    if (due(training.eval_every)) evaluate();
    if (due(training.save_every) && saved_step_ != step) save(!trainer_.has_val());
  }
  if (interrupt_signal() == 0) {
    if (log_ == Log::brief) return 0;
    progress_.line(
        fmt::format("done in {}: {}", duration(progress_.seconds()), folder_.path().string()));
    return 0;
  }
  if (saved_step_ != trainer_.steps_done()) save(!trainer_.has_val());
  progress_.line(fmt::format("interrupted and saved at step {}", trainer_.steps_done()));
  if (log_ == Log::full) {
    progress_.line(fmt::format("go on with: masque train {} --resume", folder_.path().string()));
  }
  return 128 + interrupt_signal();
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
    if (!config_.training.start_token) prompt = {Tokenizer::kSpecials};
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
  write_file(folder_.samples() / fmt::format("step_{}.txt", trainer_.steps_done()), text + "\n");
  events_.sample(trainer_.steps_done(), text);
  std::string line = tokenizer_.decode(ids.first(std::min(ids.size(), kShownCharacters)));
  for (std::size_t at = 0; (at = line.find('\n', at)) != std::string::npos; at += 3) {
    line.replace(at, 1, " / ");
  }
  progress_.line("  sample: " + line);
}

void TrainingRun::save(bool best) {
  folder_.save_checkpoint(trainer_.steps_done(), best, config_.training.keep,
                          [&](const std::filesystem::path& to) { trainer_.save(to); });
  if (on_gpu(device_)) write_file(folder_.products(), product_algorithms(device_));
  saved_step_ = trainer_.steps_done();
}

void TrainingRun::write_metrics(const Json& line) {
  Json full = {{"step", trainer_.steps_done()},
               {"tokens", trainer_.tokens_seen()},
               {"epoch", trainer_.epoch()},
               {"seconds", seconds_before_ + progress_.seconds()}};
  full.update(line);
  metrics_file_ << full.dump() << '\n' << std::flush;
  if (!metrics_file_) {
    throw Error(
        fmt::format("{}: cannot be written; is the disk full?", folder_.metrics().string()));
  }
  events_.metrics(full);
}

RunEvents TrainingRun::events(std::optional<std::int64_t> resumed_at) {
  return RunEvents(folder_, config_, resumed_at,
                   [this](const std::string& line) { progress_.line(line); });
}

}  // namespace masque
