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
#include "models/config.h"
#include "models/dataset.h"
#include "models/network.h"
#include "models/objective.h"
#include "models/optimizer.h"
#include "models/tokenizer.h"
#include "models/transformer.h"

namespace masque {

struct StepMetrics {
  double loss = 0;      // Σ weight·nll: per token; a LLaDA batch's is noisy, never a likelihood
  double accuracy = 0;  // of the positions that weigh: masked ones (LLaDA), all (AR)
  double lr = 0;
  double grad_norm = 0;  // before clipping
  bool finite = true;    // false: the update was skipped
};

struct Evaluation {
  double loss = 0;      // nats a token: exact (AR), nelbo (LLaDA), on the evaluation windows
  double accuracy = 0;  // of next tokens (AR), of masked ones over nelbo's draws (LLaDA)
};

class Trainer {
 public:
  // config.model.vocab_size must be the tokenizer's. InputError where a split is too short for the
  // context.
  Trainer(const RunConfig& config, const Tokenizer& tokenizer, Splits splits, Device device);

  StepMetrics step();  // one update; Error where steps are over
  // nanoGPT's protocol (eval_crops): fresh random windows at each step; else the same windows and
  // masks each time.
  Evaluation evaluate(const std::string& split);  // "train" or "val"
  bool has_val() const { return !splits_.val.empty(); }

  std::int64_t steps_done() const { return steps_done_; }
  std::int64_t tokens_seen() const { return tokens_seen_; }  // loss-bearing for AR; read for LLaDA
  double epoch() const;
  double best_loss() const { return best_loss_; }
  // Keeps the least val loss; true where `loss` is it.
  bool note_val(double loss);

  // A checkpoint's files: model.safetensors, optimizer.safetensors, state.json.
  void save(const std::filesystem::path& folder) const;
  void load(const std::filesystem::path& folder);

  Transformer& transformer() { return transformer_; }
  Network& network() { return network_; }
  Optimizer& optimizer() { return optimizer_; }
  std::size_t activation_bytes() const { return step_arena_.high_water(); }
  std::int64_t sequences_per_epoch() const { return sequences_.count(); }

 private:
  // Reads the effective batch's sequences on the host; returns its scored tokens.
  std::int64_t read_sequences();
  std::vector<Window> evaluation_windows(std::int64_t tokens) const;

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
  Memory device_state_, device_loss_, device_excluded_;
  std::vector<std::int32_t> host_tokens_, host_lengths_;  // (K·B,L), (K·B) scored tokens of each
  std::int64_t steps_done_ = 0, tokens_seen_ = 0;
  double best_loss_ = std::numeric_limits<double>::infinity();
};

}  // namespace masque
