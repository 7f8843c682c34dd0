#include "apps/presets.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "kernels/backend.h"
#include "models/spelling.h"

namespace masque {

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const auto& entry : preset_files()) names.push_back(entry.first);
  return names;
}

RunConfig preset(const std::string& name, ObjectiveKind objective) {
  const auto found = preset_files().find(name);
  if (found == preset_files().end()) {
    throw InputError(fmt::format("--preset {}: {}", name, guess_of(name, preset_names())));
  }
  RunConfig config;
  const auto json = nlohmann::json::parse(found->second);
  for (const auto& entry : json.items()) {
    set_value(config, entry.key(), entry.value());
  }
  config.model.objective = objective;
  if (objective == ObjectiveKind::llada) config.training.start_token = true;
  return config;
}

}  // namespace masque
