// The loop around a Trainer: logs, evaluations, samples and checkpoints of a run folder.
#pragma once

#include <cstdint>
#include <fstream>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "apps/common.h"
#include "apps/run_events.h"
#include "models/checkpoint.h"
#include "models/config.h"
#include "models/tokenizer.h"
#include "models/trainer.h"

namespace masque {

class TrainingRun {
 public:
  // brief: no line but the last evaluation's and what went wrong, and no samples; for a run among
  // many.
  enum class Log { full, brief };
  TrainingRun(RunFolder folder, RunConfig config, Tokenizer tokenizer, Trainer& trainer,
              Device device, Log log = Log::full);

  void create();  // a new folder with config, tokenizer and environment
  void reopen();  // an old one: drops what metrics.jsonl says of steps after the trainer's
  int go();       // trains to the last step; 0, or 130 or 143 when interrupted, saved either way

 private:
  void report_skipped();
  void log();
  void evaluate();
  void sample();
  void save(bool best);
  void reuse_products();
  void write_metrics(const nlohmann::json& line);
  RunEvents events(std::optional<std::int64_t> resumed_at);

  RunFolder folder_;
  RunConfig config_;
  Tokenizer tokenizer_;
  Trainer& trainer_;
  Device device_;
  Log log_;
  Progress progress_;
  std::ofstream metrics_file_;
  RunEvents events_;                // the same for TensorBoard
  StepMetrics metrics_;             // of the last step that was waited for
  double seconds_before_ = 0;       // of earlier sittings
  double step_seconds_ = 0;         // in steps since the last log
  std::int64_t logged_tokens_ = 0;  // seen at the last log
  std::int64_t saved_step_ = -1;
  std::int64_t skipped_ = 0;  // updates that were reported as skipped
};

}  // namespace masque
