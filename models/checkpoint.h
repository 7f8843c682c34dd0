// Files of a run: safetensors, and the run folder of design "Contracts"
// (docs/checkpoint-format.md).
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace masque {

// An array in host memory, to be written.
struct HostArray {
  std::string name;
  Shape shape;
  DType dtype = DType::f32;  // f32 or f64
  const void* data = nullptr;
};

// Writes to a temporary name beside `file`, flushes, and renames: a reader sees the old file or the
// whole new one. Error naming the file and the reason where the system refuses.
void write_file(const std::filesystem::path& file, std::span<const std::byte> bytes);
void write_file(const std::filesystem::path& file, const std::string& text);
void write_safetensors(const std::filesystem::path& file, std::span<const HostArray> arrays,
                       const std::map<std::string, std::string>& metadata);

// A safetensors file read whole and checked: header bounds, types, shapes against offsets, no
// overlap, no hole.
class Safetensors {
 public:
  struct Entry {
    Shape shape;
    DType dtype = DType::f32;
    std::span<const std::byte> bytes;
  };
  explicit Safetensors(const std::filesystem::path& file);  // InputError: what, value, mend
  const std::map<std::string, Entry>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // Copies `name` into `to`, converting between f32 and f64. InputError where absent or of another
  // shape.
  void read(const std::string& name, const Shape& shape, DType dtype, void* to) const;

 private:
  std::filesystem::path file_;
  std::vector<std::byte> data_;
  std::map<std::string, Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

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
  std::filesystem::path samples() const { return path_ / "samples"; }

  // The folder of "best", "last" or a step number. InputError naming those that exist.
  std::filesystem::path checkpoint(const std::string& which) const;
  // Fills checkpoints/step_N by `write` (given a temporary folder), renames it into place, and
  // points `last`, and `best` if so, at it by relative symbolic links; then removes all but the
  // newest `keep` and best.
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

  std::filesystem::path path_;
};

}  // namespace masque
