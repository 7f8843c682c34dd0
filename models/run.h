// A run as it lies on disk, loaded: configuration, tokenizer, weights.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "models/checkpoint.h"
#include "models/config.h"
#include "models/network.h"
#include "models/tokenizer.h"
#include "models/transformer.h"

namespace masque {

struct Run {
  RunFolder folder;
  RunConfig config;
  Tokenizer tokenizer;
  std::string checkpoint;  // name of the folder read: step_N
  std::unique_ptr<Transformer> transformer;
  std::unique_ptr<Network> network;
};

// config.json and tokenizer.json of a run. InputError where the folder is no run or a file is
// damaged.
RunConfig load_config(const RunFolder& folder);

// which: "best", "last" or a step number. InputError as above, and where the weights do not fit the
// configuration.
Run load_run(const std::filesystem::path& path, const std::string& which, const Device& device);

// Puts the EMA of a checkpoint's weights in their place. InputError where it was trained without.
void use_ema(Run& run);

// Weights between a transformer and model.safetensors (docs/checkpoint-format.md); always f32 on
// disk but for f64 runs. load: InputError where a tensor is missing, unknown or of another shape.
void save_model(const std::filesystem::path& file, const Transformer& transformer);
void load_model(const std::filesystem::path& file, Transformer& transformer);

}  // namespace masque
