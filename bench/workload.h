// What the benchmarks of whole models share: a preset's configuration, the text, the objectives.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "models/config.h"
#include "models/tokenizer.h"

namespace masque::bench {

// Of the command line.
struct ModelOptions {
  std::string preset = "quick", objective = "both";
  std::vector<std::string> sets;  // key=value
};
void add_model_options(CLI::App& command, ModelOptions& options);

// "llada", "ar" or "both"; InputError for anything else.
std::vector<ObjectiveKind> objectives(const std::string& name);

// The preset with what is set, not yet resolved.
RunConfig configured(const ModelOptions& options, ObjectiveKind objective, std::int64_t vocab_size);

struct Text {
  Tokenizer tokenizer;
  std::vector<std::int32_t> tokens;
};
constexpr std::int64_t kCharacters = 200'000;
Text synthetic_text();  // kCharacters of models/source.h

}  // namespace masque::bench
