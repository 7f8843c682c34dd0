// The ops of the engine: each runs a kernel, allocates what it writes, and records its backward on
// the tape. One function an op; shapes are CHECKed here, kernels trust them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "core/parameter.h"
#include "core/tape.h"
#include "core/tensor.h"
#include "kernels/step_state.h"

namespace masque {

// tokens (B,T) i32 → (B,T,C). wpe: learned positions (context,C), or null.
Tensor embedding(Tape& tape, const Tensor& tokens, Parameter& wte, Parameter* wpe,
                 std::int64_t first_position = 0);

// Dropout of an op: p = 0 is none. state must outlive the backward.
struct Dropout {
  double p = 0;
  const StepState* state = nullptr;
  std::uint32_t stream = 0;
};

enum class NormKind { layernorm, rmsnorm };

struct NormParameters {
  NormKind kind = NormKind::layernorm;
  Parameter* weight = nullptr;
  Parameter* bias = nullptr;  // layernorm only, may be null
  double eps = 1e-5;
};

// The step of a pre-norm residual stream: stream = residual + dropout(branch), normed =
// norm(stream). residual may be absent (after the embedding): stream = dropout(branch). All
// (B,T,C).
struct ResidualNorm {
  Tensor stream;  // the residual of the next residual_norm
  Tensor normed;  // the input of the next branch
};
ResidualNorm residual_norm(Tape& tape, const std::optional<Tensor>& residual, const Tensor& branch,
                           const Dropout& dropout, const NormParameters& parameters);

// x (…,IC) → (…,OC) with weight (OC,IC) and optional bias (OC).
Tensor linear(Tape& tape, const Tensor& x, Parameter& weight, Parameter* bias);

Tensor gelu(Tape& tape, const Tensor& x);          // (…,F) → (…,F)
Tensor swiglu(Tape& tape, const Tensor& gate_up);  // (…,2F) → (…,F)

// In place on qkv (B,T,3C); the result is the same memory.
Tensor rope(Tape& tape, const Tensor& qkv, std::int64_t heads, double theta,
            std::int64_t first_position = 0);

// qkv (B,T,3C) → (B,T,C). lengths: (B) i32, or null: all of T.
Tensor attention(Tape& tape, const Tensor& qkv, std::int64_t heads, bool causal,
                 const Tensor* lengths, const Dropout& dropout);

// Keys and values of one layer, for generation. (B,capacity,C) each.
struct KeyValueCache {
  Tensor keys, values;
};
// qkv (B,T,3C) of T new positions after `past` cached ones → (B,T,C). Inference only.
Tensor attention_decode(Tape& tape, const Tensor& qkv, std::int64_t heads, KeyValueCache& cache,
                        std::int64_t past);

// x (…,C) → (K,C), the rows at flat indices `rows` (host). Inference only.
Tensor gather_rows(Tape& tape, const Tensor& x, std::span<const std::int64_t> rows);

struct LossInputs {
  Tensor targets;                          // (B,T) i32
  Tensor weights;                          // (B,T) param type; a position of weight 0 costs nothing
  const std::uint8_t* excluded = nullptr;  // (V) on the device, or null
};
struct LossResult {
  Tensor nll;      // (B,T) param type, 0 where the weight is 0
  Tensor correct;  // (B,T) i32
};
// Where a loss is added up, in device memory.
struct LossTotals {
  double* loss = nullptr;          // += Σ weight·nll
  std::int64_t* counts = nullptr;  // (2) += positions that weigh, those predicted right; or null
};
// In training also writes the gradient of the logits (B,T,V).
LossResult masked_cross_entropy(Tape& tape, const Tensor& logits, const LossInputs& inputs,
                                const LossTotals& totals);
// The same of logits = hidden (B,T,C) · headᵀ, head (V,C), which it does not return. In training it
// writes the gradient of hidden at once.
LossResult classifier_loss(Tape& tape, const Tensor& hidden, Parameter& head,
                           const LossInputs& inputs, const LossTotals& totals);

}  // namespace masque
