// The files of a checkpoint and manifest.json, which holds their checksums
// (docs/checkpoint-format.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "models/safetensors.h"

namespace masque {

// A stretch of a file, which is its parts, one after the other.
struct FilePart {
  std::string name;
  std::uint64_t bytes = 0;
  std::uint32_t crc32c = 0;
};

using ManifestFiles = std::map<std::string, std::vector<FilePart>>;

// Writes the files of a checkpoint into a folder, and last the manifest of what they must be.
class CheckpointFiles {
 public:
  explicit CheckpointFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}
  void write(const std::string& name, const std::string& text);
  void write(const std::string& name, std::span<const HostArray> arrays);  // as safetensors
  void finish() const;

 private:
  void write_parts(const std::string& name, std::span<const NamedBytes> parts);

  std::filesystem::path folder_;
  ManifestFiles files_;
};

// manifest.json and its last line, the checksum of what stands above. InputError where that does
// not hold, or where it is no manifest.
ManifestFiles read_manifest(const std::filesystem::path& file);
std::string with_checksum(const std::string& above);

// What is read of a checkpoint: model.safetensors, or all of it.
enum class Scope { weights, everything };

// InputError naming what is damaged: the file, and the part of it. False where there is no
// manifest, so that nothing could be verified: of a masque older than manifests.
bool verify_checkpoint(const std::filesystem::path& folder, Scope scope);

}  // namespace masque
