// Saving and loading a Trainer: the files of a checkpoint (docs/checkpoint-format.md).
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/check.h"
#include "models/run.h"
#include "models/trainer.h"

namespace masque {
namespace {

// The optimizer's arenas, a named piece for each parameter: "m.wte.weight", …
template <class Visit>
void for_each_moment(const Optimizer& optimizer, const ParameterStore& store, Visit visit) {
  for (const auto& arena : optimizer.arenas()) {
    for (const Parameter& parameter : store.parameters()) {
      const std::size_t offset =
          static_cast<std::size_t>(store.offset_of(parameter)) * size_of(parameter.master.dtype);
      visit(arena.first + "." + parameter.name, parameter,
            static_cast<std::byte*>(arena.second) + offset);
    }
  }
}

std::size_t bytes_of(const Parameter& parameter) {
  return static_cast<std::size_t>(parameter.shape.count()) * size_of(parameter.master.dtype);
}

}  // namespace

void Snapshot::write(CheckpointFiles& files) const {
  files.write("model.safetensors", weights.arrays());
  files.write("optimizer.safetensors", moments.arrays());
  files.write("state.json", state);
}

Snapshot Trainer::snapshot() const {
  const ParameterStore& store = transformer_.parameters();
  Snapshot copy{steps_done_, copy_weights(transformer_), {}, ""};
  for_each_moment(optimizer_, store,
                  [&](const std::string& name, const Parameter& parameter, std::byte* values) {
                    copy.moments.add(store.device(), name, parameter.shape, parameter.master.dtype,
                                     values);
                  });
  nlohmann::json state = {
      {"step", steps_done_}, {"tokens", tokens_seen_}, {"skipped_batches", skipped_batches_}};
  state["best_loss"] = std::isfinite(best_loss_) ? nlohmann::json(best_loss_) : nlohmann::json();
  copy.state = state.dump(2) + "\n";
  return copy;
}

void Trainer::save(const std::filesystem::path& folder) const {
  CheckpointFiles files(folder);
  snapshot().write(files);
  files.finish();
}

void Trainer::load(const std::filesystem::path& folder) {
  load_model(folder / "model.safetensors", transformer_);

  const ParameterStore& store = transformer_.parameters();
  const Safetensors tensors(folder / "optimizer.safetensors");
  for_each_moment(optimizer_, store,
                  [&](const std::string& name, const Parameter& parameter, std::byte* values) {
                    std::vector<std::byte> copy(bytes_of(parameter));
                    tensors.read(name, parameter.shape, parameter.master.dtype, copy.data());
                    copy_to_device(store.device(), values, copy.data(), copy.size());
                  });

  const std::string file = (folder / "state.json").string();
  const auto state = read_strict_json(folder / "state.json", {file, "resume from another checkpoint"});
  const auto is_count = [&](const char* key) {
    return state.contains(key) && state[key].is_number_unsigned() && state[key] < kMostCount;
  };
  if (!state.is_object() || !is_count("step") || !is_count("tokens") ||
      !state.contains("best_loss") || !(is_count("skipped_batches") || !state.contains("skipped_batches"))) {
    throw InputError(fmt::format(
        "{}: must be a JSON object with step, tokens and best_loss; resume from another checkpoint",
        file));
  }
  steps_done_ = state["step"].get<std::int64_t>();
  tokens_seen_ = state["tokens"].get<std::int64_t>();
  skipped_batches_ = state.value("skipped_batches", std::int64_t{0});
  best_loss_ = state["best_loss"].is_number() ? state["best_loss"].get<double>()
                                              : std::numeric_limits<double>::infinity();
}

void Trainer::go_back(const std::filesystem::path& folder) {
  const std::int64_t read = steps_done_ + skipped_batches_;
  load(folder);
  skipped_batches_ = read - steps_done_;
}

}  // namespace masque
