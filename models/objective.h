// Where LLaDA and AR part: what the network reads, what it is asked for, and what each answer
// weighs.
//   LLaDA: masked x_1 … x_L → x_i where masked, weight 1/t; bidirectional.   AR: [START] x_1 …
//   x_{L−1} → x_1 … x_L; causal.
// Either way loss = Σ weight·nll (mathematics: docs/architecture.md; Nie et al. 2025,
// arXiv:2502.09992, eq. 3).
#pragma once

#include <cstdint>

#include "core/arena.h"
#include "core/ops.h"
#include "models/config.h"
#include "models/transformer.h"

namespace masque {

// A micro-batch on the device.
struct Batch {
  Tensor tokens;    // (B,L) i32, L = Objective::sequence_length()
  Tensor lengths;   // (B) i32, real tokens that can be targets
  Tensor inputs;    // (B,T) i32, written by prepare()
  LossInputs loss;  // targets and weights (B,T), written by prepare()
};

class Objective {
 public:
  Objective(const ModelConfig& model, const TrainingConfig& training);

  // Tokens of a training sequence: the context, and one more for AR without [START].
  std::int64_t sequence_length() const;
  // Of `real` tokens read, those that are scored.
  std::int64_t scored(std::int64_t real) const;

  Batch allocate(Arena& arena, std::int64_t B) const;
  // Fills inputs, targets and weights from tokens and lengths. total_rows: of the effective batch.
  // state: seed, step, first row and normaliser, on the device.
  void prepare(const Device& device, Batch& batch, const StepState* state,
               std::int64_t total_rows) const;

  // prepare()d batch → loss on the tape, added to totals.
  LossResult loss(Tape& tape, Transformer& network, const Batch& batch, const StepState* state,
                  const LossTotals& totals) const;

 private:
  ModelConfig model_;
  TrainingConfig training_;
};

}  // namespace masque
