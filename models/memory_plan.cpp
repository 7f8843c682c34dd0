#include "models/memory_plan.h"

#include <algorithm>
#include <cmath>

#include "core/tape.h"
#include "models/network.h"
#include "models/objective.h"
#include "models/transformer.h"

namespace masque {
namespace {

using Taken = MemoryPiece::Taken;

constexpr std::int64_t kEvaluationTokens = 4096;  // in a forward

// The largest forward of an evaluation: sequences, and positions whose logits are wanted.
struct Evaluation {
  std::int64_t sequences, positions;
};

// Positions masked in a forward of that many draws, which are stratified: half of those of whole
// sets, and of the rest, at worst the strata that mask most.
std::int64_t masked_positions(std::int64_t sequences, std::int64_t draws, std::int64_t context) {
  const std::int64_t strata = std::max<std::int64_t>(1, draws / 2);
  const std::int64_t rest = sequences % strata, whole = sequences - rest;
  const double share = 1 - static_cast<double>(rest) / static_cast<double>(2 * strata);
  return whole * context / 2 +
         static_cast<std::int64_t>(std::ceil(static_cast<double>(rest * context) * share));
}

Evaluation evaluation_of(const RunConfig& config) {
  const ModelConfig& model = config.model;
  const TrainingConfig& training = config.training;
  const std::int64_t most = evaluation_batch(model);
  const bool masked = model.objective == ObjectiveKind::llada;
  const std::int64_t draws = masked ? std::min(training.eval_draws, most) : 1;
  const double train = training.train_fraction * training.data_fraction;
  const std::int64_t sequences =
      std::clamp<std::int64_t>(evaluation_window_count(config, train) * draws, 1, most);
  return {sequences, masked ? masked_positions(sequences, training.eval_draws, model.context)
                            : sequences * model.context};
}

}  // namespace

std::int64_t evaluation_batch(const ModelConfig& model) {
  return std::max<std::int64_t>(1, kEvaluationTokens / model.context);
}

std::int64_t evaluation_window_count(const RunConfig& config, double share) {
  const TrainingConfig& training = config.training;
  if (training.eval_crops) return training.eval_windows;
  const double tokens = share * static_cast<double>(config.data.tokens);
  const auto windows =
      static_cast<std::int64_t>(std::ceil(tokens / static_cast<double>(config.model.context)));
  return training.eval_windows > 0 ? std::min(windows, training.eval_windows) : windows;
}

std::size_t step_bytes(const RunConfig& config, const Device& device) {
  Transformer transformer = Transformer::declared(config.model, device);
  Arena batch_arena = Arena::counting(device), arena = Arena::counting(device);
  const Objective objective(config.model, config.training);
  const Batch batch = objective.allocate(batch_arena, config.training.batch);
  Tape tape(arena, Tape::Mode::training);
  objective.loss(tape, transformer, batch, nullptr, {});
  return arena.high_water();
}

std::vector<MemoryPiece> plan_memory(const RunConfig& config, const Device& device) {
  Transformer transformer = Transformer::declared(config.model, device);
  const ParameterStore& parameters = transformer.parameters();
  const bool gpu = on_gpu(device);
  const DType activation = activation_dtype(device), master = param_dtype(device);
  const std::size_t once = bytes_of(parameters.arena_count(), master);
  const bool ema = config.training.ema > 0;
  const Evaluation evaluation = evaluation_of(config);

  std::vector<MemoryPiece> pieces;
  pieces.push_back({kTextPiece, bytes_of(config.data.tokens, DType::i32)});
  pieces.push_back({"parameters", once, gpu});
  if (activation != master) {
    pieces.push_back({std::string("parameters as ") + name_of(activation),
                      bytes_of(parameters.arena_count(), activation), gpu});
  }
  pieces.push_back({"gradients of parameters", once, gpu});
  pieces.push_back({"AdamW's moments", 2 * once, gpu});
  if (ema) {
    pieces.push_back({"average of the weights", once, gpu});
    const std::size_t computed =
        activation == master ? 0 : bytes_of(parameters.arena_count(), activation);
    pieces.push_back(
        {std::string("weights put aside meanwhile"), once + computed, gpu, Taken::evaluating});
  }
  pieces.push_back({"activations of a step", step_bytes(config, device), gpu});
  pieces.push_back(
      {"activations of an evaluation",
       predict_bytes(transformer, evaluation.sequences, config.model.context, evaluation.positions),
       gpu, Taken::evaluating});
  // As they come from the device, and as f64.
  const std::size_t logits = static_cast<std::size_t>(evaluation.positions) *
                             static_cast<std::size_t>(config.model.vocab_size) *
                             (size_of(activation) + sizeof(double));
  pieces.push_back({"logits of an evaluation", logits, false, Taken::evaluating});
  // Written in the background, so beside all else.
  pieces.push_back({"copy of a checkpoint", bytes_of(parameters.count(), master) * (ema ? 4 : 3),
                    false, Taken::saving});
  return pieces;
}

}  // namespace masque
