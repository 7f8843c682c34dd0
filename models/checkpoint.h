// The folder of a run (docs/checkpoint-format.md), and, through safetensors.h, its files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "models/safetensors.h"

namespace masque {

// The folder of a run.
class RunFolder {
 public:
  explicit RunFolder(std::filesystem::path path) : path_(std::move(path)) {}
  const std::filesystem::path& path() const { return path_; }

  // Makes the folder. InputError where it exists and is not empty.
  void create() const;
  // InputError where it is no run: missing folder or config.json.
  void require() const;

  std::filesystem::path config() const { return path_ / "config.json"; }
  std::filesystem::path tokenizer() const { return path_ / "tokenizer.json"; }
  std::filesystem::path environment() const { return path_ / "environment.json"; }
  std::filesystem::path metrics() const { return path_ / "metrics.jsonl"; }
  std::filesystem::path products() const { return path_ / "products.txt"; }
  std::filesystem::path samples() const { return path_ / "samples"; }

  // The folder checkpoints/step_N of "best", "last" or a step number N. InputError naming those
  // that exist.
  std::filesystem::path checkpoint(const std::string& which) const;
  // Fills checkpoints/step_N by `write` (given a temporary folder), renames it into place, and
  // points `last`, and `best` if so, at it by relative symbolic links; then removes all but the
  // newest `keep`, best and last. Whatever interrupts it, best and last name whole checkpoints.
  template <class Write>
  void save_checkpoint(std::int64_t step, bool best, std::int64_t keep, Write&& write) const {
    const std::filesystem::path temporary = begin_checkpoint(step);
    write(temporary);
    commit_checkpoint(step, best, keep);
  }
  // Points `best` at an existing step.
  void mark_best(std::int64_t step) const;

 private:
  std::filesystem::path begin_checkpoint(std::int64_t step) const;
  void commit_checkpoint(std::int64_t step, bool best, std::int64_t keep) const;
  void point(const std::string& link, std::int64_t step) const;
  void prune(std::int64_t keep) const;
  std::vector<std::int64_t> steps() const;  // that are saved, ascending
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }

  std::filesystem::path path_;
};

}  // namespace masque
