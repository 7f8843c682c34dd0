// A run as it lies on disk, loaded: configuration, tokenizer, weights.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "models/checkpoint.h"
#include "models/config.h"
#include "models/network.h"
#include "models/safetensors.h"
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
  bool averaged = false;  // use_ema() was called
};

// config.json and tokenizer.json of a run. InputError where the folder is no run or a file is
// damaged.
RunConfig load_config(const RunFolder& folder);

// which: "best", "last" or a step number. InputError as above, where no checkpoint is whole, and
// where the weights do not fit the configuration. A damaged one that was replaced by another is
// told of on stderr.
Run load_run(const std::filesystem::path& path, const std::string& which, const Device& device);

// Puts the EMA of a checkpoint's weights in their place. InputError where it was trained without.
void use_ema(Run& run);

// Arrays copied to the host, to be written while the device goes on.
class HostCopies {
 public:
  HostCopies() = default;
  HostCopies(HostCopies&&) = default;
  HostCopies& operator=(HostCopies&&) = default;
  HostCopies(const HostCopies&) = delete;  // arrays point into bytes
  HostCopies& operator=(const HostCopies&) = delete;
  void add(const Device& device, const std::string& name, const Shape& shape, DType dtype,
           const void* data);
  std::span<const HostArray> arrays() const { return arrays_; }

 private:
  std::vector<HostArray> arrays_;
  std::vector<std::vector<std::byte>> bytes_;
};
HostCopies copy_weights(const Transformer& transformer);

// Weights between a transformer and model.safetensors (docs/checkpoint-format.md); always f32 on
// disk but for f64 runs. load: InputError where a tensor is missing, unknown or of another shape.
void save_model(const std::filesystem::path& file, const Transformer& transformer);
void load_model(const std::filesystem::path& file, Transformer& transformer);

}  // namespace masque
