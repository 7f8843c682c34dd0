#include "apps/training_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "apps/environment.h"
#include "apps/machine.h"
#include "core/check.h"
#include "core/out_of_memory.h"
#include "core/products.h"
#include "models/corpus.h"
#include "models/files.h"

namespace masque {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kMostTimesBack = 3;  // from one stretch of steps

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
  catch_save_requests();
  while (trainer_.steps_done() < training.steps && interrupt_signal() == 0) {
    const double start = running_seconds();
    trainer_.step();
    writer_.poll();
    const std::int64_t step = trainer_.steps_done();
    const auto due = [&](std::int64_t every) {
      return step % every == 0 || step == training.steps;
    };
    const bool any_due =
        due(training.log_every) || due(training.eval_every) || due(training.save_every);
    save_requested_ = save_requested_ || take_save_request();
    // Waits for a GPU, so there only now and then.
    const bool looks = any_due || save_requested_ || !on_gpu(device_) || !step_time_.known();
    if (looks) metrics_ = trainer_.metrics();
    const double seconds = running_seconds() - start;
    step_seconds_ += seconds;
    if (looks) {
      const LossWatch::Verdict verdict = watch_.note(step, metrics_);
      if (verdict != LossWatch::Verdict::good) {
        go_back(verdict);
        continue;
      }
    }
    if (any_due) report_skipped();
    if (looks) estimate(seconds);
    if (looks) show_status();
    progress_.update(step, status_);
    if (due(training.log_every)) log();
    if (due(training.eval_every)) evaluate();
    // Not while numbers go wrong: what is kept stays good.
    save_wanted_ = save_wanted_ || save_requested_ || due(training.save_every);
    const bool well = watch_.good_step() == step || step == training.steps;
    if (save_wanted_ && well) {
      if (saved_step_ != step) save(!trainer_.has_val());
      if (save_requested_) progress_.line(fmt::format("step {}: saving, as SIGUSR1 asked", step));
      save_wanted_ = save_requested_ = false;
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
    throw Diverged(
        fmt::format("diverged at step {}: {}, {} times; {}", step, what, times_back_, mend));
  }
  writer_.finish();
  std::filesystem::path good;
  try {
    good = folder_.go_back_to(watch_.good_step());
  } catch (const InputError&) {
    throw Diverged(fmt::format("diverged at step {}: {}, and there is no checkpoint before it; {}",
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

}  // namespace masque
