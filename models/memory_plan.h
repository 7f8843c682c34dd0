// How much memory a training will take, and for what, before any of it is taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/device.h"
#include "models/config.h"

namespace masque {

inline constexpr const char* kTextPiece = "text, as tokens";

struct MemoryPiece {
  enum class Taken { at_start, evaluating, saving };  // the first time
  std::string name;
  std::size_t bytes = 0;
  bool on_gpu = false;
  Taken taken = Taken::at_start;
};

// Of Trainer and what surrounds it: all but the program, the kernels' scratch and, on a GPU, the
// driver. config: resolved, with the vocabulary's size and the number of tokens.
std::vector<MemoryPiece> plan_memory(const RunConfig& config, const Device& device);

// Activations of a micro-batch and their gradients.
std::size_t step_bytes(const RunConfig& config, const Device& device);

// Windows that Trainer::evaluate reads of a split that is `share` of the text.
std::int64_t evaluation_window_count(const RunConfig& config, double share);

// Sequences in a forward of it.
std::int64_t evaluation_batch(const ModelConfig& model);

}  // namespace masque
