// Saving and loading a Trainer: the files of a checkpoint (docs/checkpoint-format.md).
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/check.h"
#include "models/run.h"
#include "models/strict_json.h"
#include "models/trainer.h"

namespace masque {
namespace {

constexpr std::int64_t kMostCount = std::int64_t{1} << 53;  // of steps, tokens, batches

// The optimizer's arenas, a named piece for each parameter: "m.wte.weight", …
template <class Visit>
void for_each_moment(const Optimizer& optimizer, const ParameterStore& store, Visit visit) {
  for (const auto& arena : optimizer.arenas()) {
    for (const Parameter& parameter : store.parameters()) {
      const std::size_t offset = bytes_of(store.offset_of(parameter), parameter.master.dtype);
      visit(arena.first + "." + parameter.name, parameter,
            static_cast<std::byte*>(arena.second) + offset);
    }
  }
}

std::size_t bytes_of(const Parameter& parameter) {
  return bytes_of(parameter.shape.count(), parameter.master.dtype);
}

}  // namespace

void Snapshot::write(CheckpointFiles& files) const {
  files.write("model.safetensors", weights.arrays());
  files.write("optimizer.safetensors", moments.arrays());
  files.write("state.json", state);
}

Snapshot Trainer::snapshot() const {
  const ParameterStore& store = transformer_.parameters();
  Snapshot copy{state_.steps, copy_weights(transformer_), {}, ""};
  for_each_moment(optimizer_, store,
                  [&](const std::string& name, const Parameter& parameter, std::byte* values) {
                    copy.moments.add(store.device(), name, parameter.shape, parameter.master.dtype,
                                     values);
                  });
  nlohmann::json state = {{"step", state_.steps},
                          {"tokens", state_.tokens},
                          {"skipped_batches", state_.skipped_batches}};
  state["best_loss"] =
      std::isfinite(state_.best_loss) ? nlohmann::json(state_.best_loss) : nlohmann::json();
  copy.state = state.dump(2) + "\n";
  return copy;
}

void Trainer::save(const std::filesystem::path& folder) const {
  CheckpointFiles files(folder);
  snapshot().write(files);
  files.finish();
}

TrainingState read_training_state(const std::filesystem::path& file) {
  const auto json = read_strict_json(file, {file.string(), "resume from another checkpoint"});
  const auto is_count = [&](const char* key) {
    return json.contains(key) && json[key].is_number_unsigned() && json[key] < kMostCount;
  };
  const bool legal = json.is_object() && is_count("step") && is_count("tokens") &&
                     json.contains("best_loss") &&
                     (json["best_loss"].is_null() || json["best_loss"].is_number()) &&
                     (is_count("skipped_batches") || !json.contains("skipped_batches"));
  if (!legal) {
    throw InputError(fmt::format(
        "{}: must be a JSON object with step, tokens and best_loss; resume from another checkpoint",
        file.string()));
  }
  TrainingState state{json["step"], json["tokens"], json.value("skipped_batches", std::int64_t{0})};
  if (json["best_loss"].is_number()) state.best_loss = json["best_loss"];
  return state;
}

void Trainer::load(const std::filesystem::path& folder) {
  const TrainingState state = read_training_state(folder / "state.json");
  load_model(folder / "model.safetensors", transformer_);

  const ParameterStore& store = transformer_.parameters();
  const Safetensors tensors(folder / "optimizer.safetensors");
  for_each_moment(optimizer_, store,
                  [&](const std::string& name, const Parameter& parameter, std::byte* values) {
                    std::vector<std::byte> copy(bytes_of(parameter));
                    tensors.read(name, parameter.shape, parameter.master.dtype, copy.data());
                    copy_to_device(store.device(), values, copy.data(), copy.size());
                  });
  state_ = state;
}

void Trainer::go_back(const std::filesystem::path& folder) {
  const std::int64_t read = state_.steps + state_.skipped_batches;
  load(folder);
  state_.skipped_batches = read - state_.steps;
}

}  // namespace masque
