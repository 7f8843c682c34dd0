#include "bench/workload.h"

#include <fmt/format.h>

#include "apps/presets.h"
#include "kernels/backend.h"
#include "models/source.h"

namespace masque::bench {

void add_model_options(CLI::App& command, ModelOptions& options) {
  command
      .add_option("--preset", options.preset, fmt::format("{}", fmt::join(preset_names(), ", ")))
      ->capture_default_str();
  command.add_option("--objective", options.objective, "llada, ar or both")->capture_default_str();
  command.add_option("--set", options.sets, "key=value, any key of config.json")
      ->expected(1, -1)
      ->type_name("KEY=VALUE");
}

std::vector<ObjectiveKind> objectives(const std::string& name) {
  if (name == "both") return {ObjectiveKind::llada, ObjectiveKind::ar};
  if (name == "llada" || name == "ar") return {objective_from(name)};
  throw InputError(fmt::format("--objective {}: must be llada, ar or both", name));
}

RunConfig configured(const ModelOptions& options, ObjectiveKind objective,
                     std::int64_t vocab_size) {
  RunConfig config = preset(options.preset, objective);
  for (const std::string& assignment : options.sets) set_key(config, assignment);
  config.model.vocab_size = vocab_size;
  return config;
}

Text synthetic_text() {
  const Source source;
  Text text{source.tokenizer(), {}};
  text.tokens = text.tokenizer.encode(source.generate(kCharacters, 1));
  return text;
}

}  // namespace masque::bench
