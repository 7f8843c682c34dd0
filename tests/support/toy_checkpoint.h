// Checkpoints without a model: two arrays and a state, functions of the step and a version.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "models/checkpoint.h"
#include "tests/support/scratch.h"

namespace masque::test {

inline std::vector<float> toy_values(std::int64_t step, int version) {
  std::vector<float> values;
  for (int i = 0; i < 100; ++i)
    values.push_back(static_cast<float>(step * 1000 + version * 100 + i));
  return values;
}

inline void write_toy(CheckpointFiles& files, std::int64_t step, int version = 0) {
  const std::vector<float> values = toy_values(step, version);
  for (const char* name : {"model.safetensors", "optimizer.safetensors"}) {
    files.write(name, std::vector<HostArray>{{"first", {3}, DType::f32, values.data()},
                                             {"second", {97}, DType::f32, values.data() + 3}});
  }
  files.write("state.json", std::to_string(step));
}

inline void save_toy(const RunFolder& run, std::int64_t step, bool best = true,
                     std::int64_t keep = 1, int version = 0) {
  run.save_checkpoint(step, best, keep,
                      [&](CheckpointFiles& files) { write_toy(files, step, version); });
}

inline bool is_toy(const std::filesystem::path& folder, std::int64_t step, int version = 0) {
  std::vector<float> values(100);
  for (const char* name : {"model.safetensors", "optimizer.safetensors"}) {
    const Safetensors tensors(folder / name);
    tensors.read("first", {3}, DType::f32, values.data());
    tensors.read("second", {97}, DType::f32, values.data() + 3);
    if (values != toy_values(step, version)) return false;
  }
  return slurp(folder / "state.json") == std::to_string(step);
}

}  // namespace masque::test
