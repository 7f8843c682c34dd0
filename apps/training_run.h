// The loop around a Trainer: logs, evaluations, samples and checkpoints of a run folder.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "apps/common.h"
#include "apps/run_events.h"
#include "apps/step_time.h"
#include "kernels/backend.h"
#include "models/checkpoint.h"
#include "models/checkpoint_writer.h"
#include "models/config.h"
#include "models/files.h"
#include "models/loss_watch.h"
#include "models/tokenizer.h"
#include "models/trainer.h"

namespace masque {

// The numbers of a training go wrong again and again.
class Diverged : public Error {
 public:
  using Error::Error;
};

class TrainingRun {
 public:
  // brief: no line but the last evaluation's and what went wrong, and no samples; for a run among
  // many.
  enum class Log { full, brief };
  TrainingRun(RunFolder folder, RunConfig config, Tokenizer tokenizer, Trainer& trainer,
              Device device, Log log = Log::full);

  void create();  // a new folder, locked, with config, tokenizer and environment
  void reopen();  // an old one: drops what metrics.jsonl says of steps after the trainer's
  // Trains to the last step; 0, or 130 or 143 when interrupted, saved either way. SIGUSR1 saves and
  // goes on. What cannot be written is told of and does not end it; Error where it cannot be saved
  // at the end, Diverged where the numbers go wrong again and again.
  int go();

 private:
  void report_skipped();
  void estimate(double seconds_of_step);  // says once how long it will take, where that is long
  void show_status();
  void go_back(LossWatch::Verdict verdict);
  void log();
  double tokens_per_second() const;  // since the last log
  void evaluate();
  double log_evaluation(const char* split, const Evaluation& evaluation);  // its loss
  void sample();
  void save(bool best);
  void reuse_products();
  void write_metrics(const nlohmann::json& line);
  // Drops what metrics.jsonl says of steps after the trainer's; returns the seconds of the last
  // kept.
  double drop_later_metrics();
  void finish();
  // Runs work; an Error is told once, until it works again. told: whether it was.
  void attempt(bool& told, const std::function<void()>& work);
  RunEvents events(std::optional<std::int64_t> resumed_at);

  RunFolder folder_;
  RunConfig config_;
  Tokenizer tokenizer_;
  Trainer& trainer_;
  Device device_;
  Log log_;
  Progress progress_;
  RunLock lock_;
  LineFile metrics_file_;
  RunEvents events_;  // the same for TensorBoard
  CheckpointWriter writer_;
  StepMetrics metrics_;  // of the last step that was waited for
  LossWatch watch_;
  std::int64_t times_back_ = 0;     // without reaching further than before
  std::int64_t furthest_step_ = 0;  // from which it went back
  double seconds_before_ = 0;       // of earlier sittings
  StepTime step_time_;
  double step_seconds_ = 0;         // in steps since the last log
  std::int64_t logged_tokens_ = 0;  // seen at the last log
  std::int64_t saved_step_ = -1;
  bool save_wanted_ = false;     // at the next step at which all is well
  bool save_requested_ = false;  // and by SIGUSR1
  std::int64_t skipped_ = 0;     // updates that were reported as skipped
  std::string status_, val_;     // what the terminal's line says of the last step, and of val
  std::string saved_products_;
  bool told_metrics_ = false, told_samples_ = false, told_products_ = false;  // as not written
};

}  // namespace masque
