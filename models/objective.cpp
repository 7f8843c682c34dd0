#include "models/objective.h"

#include "kernels/next_token.h"
#include "kernels/random_mask.h"
#include "models/tokenizer.h"

namespace masque {
namespace {

TSampling t_sampling(const std::string& name) {
  if (name == "iid") return TSampling::iid;
  return name == "batch" ? TSampling::batch : TSampling::stratified;
}

}  // namespace

Objective::Objective(const ModelConfig& model, const TrainingConfig& training)
    : model_(model), training_(training) {}

std::int64_t Objective::sequence_length() const {
  const bool extra = model_.objective == ObjectiveKind::ar && !training_.start_token;
  return model_.context + (extra ? 1 : 0);
}

std::int64_t Objective::scored(std::int64_t real) const {
  return real - (sequence_length() - model_.context);
}

Batch Objective::allocate(Arena& arena, std::int64_t B) const {
  const std::int64_t T = model_.context;
  Batch batch;
  batch.tokens = arena.allocate({B, sequence_length()}, DType::i32);
  batch.lengths = arena.allocate({B}, DType::i32);
  batch.inputs = arena.allocate({B, T}, DType::i32);
  batch.loss.targets = arena.allocate({B, T}, DType::i32);
  batch.loss.weights = arena.allocate({B, T}, param_dtype(arena.device()));
  return batch;
}

void Objective::prepare(const Device& device, Batch& batch, const StepState* state,
                        std::int64_t total_rows) const {
  const std::int64_t B = batch.inputs.shape[0], T = batch.inputs.shape[1];
  if (model_.objective == ObjectiveKind::llada) batch.loss.targets = batch.tokens;
  std::visit(
      [&](auto on) {
        using Param = param_t<typename decltype(on)::real>;
        if (model_.objective == ObjectiveKind::llada) {
          random_mask(on, {.inputs = batch.inputs.as<std::int32_t>(),
                           .weights = batch.loss.weights.as<Param>(),
                           .tokens = batch.tokens.as<std::int32_t>(),
                           .lengths = batch.lengths.as<std::int32_t>(),
                           .state = state,
                           .sampling = t_sampling(training_.t_sampling),
                           .weighting = training_.weighting == "none" ? Weighting::none
                                                                      : Weighting::inverse_t,
                           .epsilon = training_.epsilon,
                           .total_rows = total_rows,
                           .mask_token = Tokenizer::kMask,
                           .pad_token = Tokenizer::kPad,
                           .start_token = Tokenizer::kStart,
                           .B = B,
                           .T = T});
          return;
        }
        next_token(on, {.inputs = batch.inputs.as<std::int32_t>(),
                        .targets = batch.loss.targets.as<std::int32_t>(),
                        .weights = batch.loss.weights.as<Param>(),
                        .tokens = batch.tokens.as<std::int32_t>(),
                        .lengths = batch.lengths.as<std::int32_t>(),
                        .state = state,
                        .first_token = training_.start_token ? Tokenizer::kStart : -1,
                        .input_masking = training_.input_masking,
                        .mask_token = Tokenizer::kMask,
                        .B = B,
                        .T = T});
      },
      device);
}

LossResult Objective::loss(Tape& tape, Transformer& network, const Batch& batch,
                           const StepState* state, const LossTotals& totals) const {
  const Tensor hidden = network.hidden(tape, batch.inputs, &batch.lengths, state);
  return network.loss(tape, hidden, batch.loss, totals);
}

}  // namespace masque
