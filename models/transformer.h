// The one network: a pre-norm transformer that LLaDA runs bidirectionally and AR causally. Either
// block family, or any mix: layernorm | rmsnorm, gelu | swiglu, learned positions | rope, with or
// without biases, head tied or not.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/ops.h"
#include "core/parameter.h"
#include "core/tape.h"
#include "models/config.h"

namespace masque {

class Transformer {
 public:
  // Parameters are allocated and zero; call initialise() or load them.
  Transformer(const ModelConfig& config, Device device);
  // Parameters that such a model has; allocates none.
  static std::int64_t parameter_count(const ModelConfig& config);
  // One whose parameters have no memory: for a tape whose arena only counts.
  static Transformer declared(const ModelConfig& config, Device device);

  // N(0, 0.02²) matrices, the two projections onto the residual stream divided by √(2·layers);
  // norms 1, biases 0. Radford et al. 2019 (GPT-2), section 2.3.
  void initialise(std::uint64_t seed);

  // ids (B,T) i32 → final hidden states (B,T,C), normed. lengths: (B) i32 or null. state: for
  // dropout; null where the tape is for inference.
  Tensor hidden(Tape& tape, const Tensor& ids, const Tensor* lengths, const StepState* state);
  // The same at `rows` of the B·T positions alone, (K,C): what follows the last attention is
  // computed for them only. Inference only.
  Tensor hidden_at(Tape& tape, const Tensor& ids, const Tensor* lengths,
                   std::span<const std::int64_t> rows);
  // hidden (…,C) → logits (…,V).
  Tensor head(Tape& tape, const Tensor& hidden);
  // hidden (B,T,C) → the loss of its logits.
  LossResult loss(Tape& tape, const Tensor& hidden, const LossInputs& inputs,
                  const LossTotals& totals);
  // ids (B,T) of T new positions after `past` → hidden states of the last of them, (B,C); caches:
  // one a layer. Inference only.
  Tensor decode(Tape& tape, const Tensor& ids, std::vector<KeyValueCache>& caches,
                std::int64_t past);

  const ModelConfig& config() const { return config_; }
  ParameterStore& parameters() { return parameters_; }
  const ParameterStore& parameters() const { return parameters_; }
  const Device& device() const { return parameters_.device(); }
  bool causal() const { return config_.objective == ObjectiveKind::ar; }

 private:
  struct Declared {};  // parameters are declared, not allocated
  Transformer(const ModelConfig& config, Device device, Declared);

  struct Linear {
    Parameter* weight = nullptr;
    Parameter* bias = nullptr;
  };
  struct Block {
    NormParameters norm1, norm2;
    Linear qkv, out, up, down;
  };

  NormParameters add_norm(const std::string& name);
  Linear add_linear(const std::string& name, std::int64_t out, std::int64_t in);
  Tensor apply(Tape& tape, const Tensor& x, const Linear& linear) const;
  Dropout dropout(const Tape& tape, const StepState* state, std::uint32_t stream) const;
  // Embedding, blocks and final norm around `attend(layer, qkv)`. rows: of hidden_at, or nothing.
  template <class Attend>
  Tensor run(Tape& tape, const Tensor& ids, const StepState* state, std::int64_t first_position,
             std::optional<std::span<const std::int64_t>> rows, Attend attend);

  ModelConfig config_;
  ParameterStore parameters_;
  Parameter* wte_ = nullptr;
  Parameter* wpe_ = nullptr;  // learned positions only
  std::vector<Block> blocks_;
  NormParameters norm_;
  Parameter* head_ = nullptr;  // wte_ where tied
};

}  // namespace masque
