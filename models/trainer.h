// One trainer for both objectives. A step: K micro-batches of (mask, forward, backward), then one
// update. All that a step draws is a function of (seed, step, row), so a resumed run repeats an
// uninterrupted one to the bit.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/captured_step.h"
#include "core/upload.h"
#include "models/config.h"
#include "models/dataset.h"
#include "models/network.h"
#include "models/objective.h"
#include "models/optimizer.h"
#include "models/run.h"
#include "models/tokenizer.h"
#include "models/transformer.h"

namespace masque {

struct StepMetrics {
  double loss = 0;      // Σ weight·nll: per token; a LLaDA batch's is noisy, never a likelihood
  double accuracy = 0;  // of the positions that weigh: masked ones (LLaDA), all (AR)
  double lr = 0;
  double grad_norm = 0;      // before clipping
  bool finite = true;        // false: the update was skipped
  std::int64_t skipped = 0;  // updates skipped since this Trainer was made
};

struct Evaluation {
  double loss = 0;      // nats a token: exact (AR), nelbo (LLaDA), on the evaluation windows
  double accuracy = 0;  // of next tokens (AR), of masked ones over nelbo's draws (LLaDA)
};

// Where a training stands: state.json.
struct TrainingState {
  std::int64_t steps = 0, tokens = 0;
  std::int64_t skipped_batches = 0;  // that going back left out of the order of data
  double best_loss = std::numeric_limits<double>::infinity();
};
// InputError where the file is not one that a training wrote.
TrainingState read_training_state(const std::filesystem::path& file);

// All that a checkpoint holds of a trainer, copied to the host, so that training may go on while it
// is written.
struct Snapshot {
  std::int64_t step = 0;
  HostCopies weights, moments;
  std::string state;  // state.json
  void write(CheckpointFiles& files) const;
};

class Trainer {
 public:
  // config.model.vocab_size must be the tokenizer's. InputError where a split is too short for the
  // context.
  Trainer(const RunConfig& config, const Tokenizer& tokenizer, Splits splits, Device device);

  void step();                  // one update, on a GPU not waited for; Error where steps are over
  StepMetrics metrics() const;  // of the last step; waits for it
  enum class Weights { trained, averaged };  // averaged: their EMA, where it is on
  // nanoGPT's protocol (eval_crops): fresh random windows at each step; else the same windows and
  // masks each time. split: "train" or "val". NaN where the weights have diverged. Whatever fails,
  // the weights are those of before.
  Evaluation evaluate(const std::string& split, Weights weights = Weights::trained);
  bool has_val() const { return !splits_.val.empty(); }

  std::int64_t steps() const { return config_.training.steps; }
  std::int64_t steps_done() const { return state_.steps; }
  std::int64_t tokens_seen() const { return state_.tokens; }  // loss-bearing for AR; read for LLaDA
  double epoch() const;
  double best_loss() const { return state_.best_loss; }
  // Keeps the least val loss; true where `loss` is it.
  bool note_val(double loss);

  // A checkpoint's files: model.safetensors, optimizer.safetensors, state.json, manifest.json.
  Snapshot snapshot() const;
  void save(const std::filesystem::path& folder) const;
  // InputError where a file is missing, damaged or not of this model; the trainer is then good for
  // another load() only.
  void load(const std::filesystem::path& folder);
  // Goes back to a checkpoint, and from there on to data that come after all that were read. Errors
  // as of load().
  void go_back(const std::filesystem::path& folder);

  Transformer& transformer() { return transformer_; }
  Network& network() { return network_; }
  Optimizer& optimizer() { return optimizer_; }
  std::size_t activation_bytes() const { return step_arena_.high_water(); }
  // Launches of a micro-batch and of an update, where they are recorded (GPU); else 0.
  std::size_t micro_step_launches() const { return micro_step_.launches(); }
  std::size_t update_launches() const { return update_.launches(); }
  void set_capture(bool enabled);  // off: nothing is recorded, each launch is the host's
  std::int64_t sequences_per_epoch() const { return sequences_.count(); }

 private:
  // What a step leaves behind.
  struct Totals {
    double loss = 0;
    std::int64_t weighed = 0, right = 0;  // positions; of those, predicted right
    std::int64_t skipped = 0;             // never reset
  };

  // Sends the state, tokens and lengths of rows first … first + B − 1 of the effective batch.
  void send_rows(std::int64_t first, const std::vector<Sequences::Place>& places,
                 const StepState& state);
  void micro_step();  // masks, forward, backward
  Totals* totals() const { return reinterpret_cast<Totals*>(device_totals_.data()); }
  StepState* state() const { return reinterpret_cast<StepState*>(device_batch_.data()); }
  std::vector<Window> evaluation_windows(std::int64_t tokens) const;
  Evaluation evaluate_averaged(const std::string& split);

  RunConfig config_;
  std::vector<std::uint8_t> excluded_;
  Splits splits_;
  Transformer transformer_;
  Network network_;
  Objective objective_;
  Optimizer optimizer_;
  Sequences sequences_;
  Arena batch_arena_, step_arena_;
  Batch batch_;
  Memory device_batch_, device_totals_, device_excluded_;
  Upload upload_;  // of device_batch_: step state, tokens, lengths
  CapturedStep micro_step_, update_;
  TrainingState state_;
};

}  // namespace masque
