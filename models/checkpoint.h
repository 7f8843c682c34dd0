// The folder of a run and its checkpoints (docs/checkpoint-format.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "models/manifest.h"
#include "models/run_lock.h"

namespace masque {

// A checkpoint that may be read.
struct WholeCheckpoint {
  std::filesystem::path folder;
  std::string note;  // what the user should know of it, or empty
};

// The folder of a run.
class RunFolder {
 public:
  explicit RunFolder(std::filesystem::path path) : path_(std::move(path)) {}
  const std::filesystem::path& path() const { return path_; }

  // Makes the folder and locks it. InputError where it exists and is not empty.
  RunLock create() const;
  // InputError where another process trains there.
  RunLock lock() const;
  // InputError where it is no run: missing folder or config.json.
  void require() const;

  std::filesystem::path config() const { return path_ / "config.json"; }
  std::filesystem::path tokenizer() const { return path_ / "tokenizer.json"; }
  std::filesystem::path environment() const { return path_ / "environment.json"; }
  std::filesystem::path metrics() const { return path_ / "metrics.jsonl"; }
  std::filesystem::path products() const { return path_ / "products.txt"; }
  std::filesystem::path samples() const { return path_ / "samples"; }

  // That are saved, ascending; none where no folder of them exists, Error where it cannot be read.
  std::vector<std::int64_t> steps() const;
  // The folder checkpoints/step_N of "best", "last" or a step number N, whole or not. InputError
  // naming those that exist.
  std::filesystem::path checkpoint(const std::string& which) const;
  // The same, verified as far as `scope` reads. Where best or last is damaged, the newest whole one
  // in its place, and the note says so. InputError naming what is damaged where a step is, or all.
  WholeCheckpoint whole_checkpoint(const std::string& which, Scope scope) const;

  // Has `write` fill checkpoints/step_N, and points `last`, and `best` if so, at it by relative
  // symbolic links; then removes all but the newest `keep`, best and last. Whatever interrupts it,
  // a loss of power too, best and last name whole checkpoints. Error: what failed, and why.
  void save_checkpoint(std::int64_t step, bool best, std::int64_t keep,
                       const std::function<void(CheckpointFiles&)>& write) const;
  // The newest whole checkpoint of at most `step`, and those after it removed; last and best point
  // at it where they pointed at one of those. InputError where there is none.
  std::filesystem::path go_back_to(std::int64_t step) const;

 private:
  bool empty() const;
  void remove_leftovers() const;
  void fill(std::int64_t step, const std::function<void(CheckpointFiles&)>& write) const;
  void point(const std::string& link, std::int64_t step) const;
  void prune(std::int64_t keep) const;
  // Removes checkpoints, each out of sight first.
  void drop(const std::vector<std::int64_t>& steps) const;
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }

  std::filesystem::path path_;
};

}  // namespace masque
