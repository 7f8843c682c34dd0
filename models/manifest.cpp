#include "models/manifest.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/check.h"
#include "models/crc32c.h"
#include "models/files.h"
#include "models/strict_json.h"

namespace masque {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const char* const kManifest = "manifest.json";
const char* const kWeights = "model.safetensors";
const std::array<const char*, 3> kNeeded = {kWeights, "optimizer.safetensors", "state.json"};
constexpr std::uint64_t kMaxManifest = 2 << 20;               // of 16,000 arrays
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 48;  // of a part, so that sums fit
constexpr std::size_t kBlock = 1 << 20;

[[noreturn]] void damaged(const fs::path& file, const std::string& what) {
  throw InputError(fmt::format("{}: {}", file.string(), what));
}

std::uint32_t sum_of(std::string_view text) {
  return crc32c(std::as_bytes(std::span(text)));
}

std::string hexadecimal(std::uint32_t sum) {
  return fmt::format("{:08x}", sum);
}

// The manifest's last line: the checksum of all above it.
std::string last_line(std::string_view above) {
  return fmt::format("\"crc32c\": \"{}\"}}\n", hexadecimal(sum_of(above)));
}

std::string to_text(const ManifestFiles& files) {
  std::string text = "{\"files\": {";
  const char* file_comma = "\n";
  for (const auto& file : files) {
    text += fmt::format("{} {}: [", file_comma, Json(file.first).dump());
    file_comma = ",\n";
    const char* comma = "\n";
    for (const FilePart& part : file.second) {
      text += fmt::format(R"({}  {{"part": {}, "bytes": {}, "crc32c": "{}"}})", comma,
                          Json(part.name).dump(), part.bytes, hexadecimal(part.crc32c));
      comma = ",\n";
    }
    text += "]";
  }
  text += "},\n";
  return with_checksum(text);
}

std::uint64_t size_of_file(const fs::path& file) {
  std::error_code status;
  const std::uint64_t size = fs::file_size(file, status);
  if (status) damaged(file, "cannot be read (" + status.message() + ")");
  return size;
}

void read(std::ifstream& stream, const fs::path& file, std::span<char> into) {
  stream.read(into.data(), static_cast<std::streamsize>(into.size()));
  if (!stream) damaged(file, "cannot be read");
}

FilePart parse_part(const fs::path& file, const Json& json) {
  const auto is = [&](const char* key, bool (Json::*type)() const) {
    return json.contains(key) && (json[key].*type)();
  };
  if (!json.is_object() || !is("part", &Json::is_string) || !is("crc32c", &Json::is_string) ||
      !json.contains("bytes") || !json["bytes"].is_number_unsigned()) {
    damaged(file, "wants files of parts, each with part, bytes and crc32c");
  }
  const auto bytes = json["bytes"].get<std::uint64_t>();
  if (bytes > kMostBytes) {
    damaged(file, fmt::format("promises a part of {} bytes, above {}", bytes, kMostBytes));
  }
  const auto digits = json["crc32c"].get<std::string>();
  const bool right =
      digits.size() == 8 && digits.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!right) damaged(file, "has a crc32c that is not eight hexadecimal digits");
  return {json["part"].get<std::string>(), bytes,
          static_cast<std::uint32_t>(std::stoul(digits, nullptr, 16))};
}

void verify_file(const fs::path& file, const std::vector<FilePart>& parts) {
  std::uint64_t promised = 0;
  for (const FilePart& part : parts) promised += part.bytes;
  const std::uint64_t size = size_of_file(file);
  if (size != promised) {
    damaged(file,
            fmt::format("{}, {} bytes where {} promises {}",
                        size < promised ? "truncated" : "too long", size, kManifest, promised));
  }
  std::ifstream stream(file, std::ios::binary);
  std::vector<char> block(std::min<std::uint64_t>(kBlock, size));
  for (const FilePart& part : parts) {
    std::uint32_t sum = 0;
    for (std::uint64_t left = part.bytes; left > 0;) {
      const std::span<char> piece(block.data(), std::min<std::uint64_t>(left, block.size()));
      read(stream, file, piece);
      sum = crc32c(std::as_bytes(piece), sum);
      left -= piece.size();
    }
    if (sum != part.crc32c) {
      damaged(file,
              fmt::format("{} is damaged, crc32c {} where {} promises {}", Json(part.name).dump(),
                          hexadecimal(sum), kManifest, hexadecimal(part.crc32c)));
    }
  }
}

}  // namespace

std::string with_checksum(const std::string& above) {
  return above + last_line(above);
}

ManifestFiles read_manifest(const fs::path& file) {
  const std::uint64_t size = size_of_file(file);
  const std::size_t tail = last_line("").size();
  if (size < tail || size > kMaxManifest) damaged(file, fmt::format("is damaged, {} bytes", size));
  std::string text(size, '\0');
  std::ifstream stream(file, std::ios::binary);
  read(stream, file, text);
  const std::string_view above = std::string_view(text).substr(0, size - tail);
  if (text.substr(size - tail) != last_line(above)) damaged(file, "is damaged, by its own crc32c");

  const Json json = parse_strict_json(text, {file.string(), "use another checkpoint"});
  if (!json.is_object() || !json.contains("files") || !json["files"].is_object()) {
    damaged(file, "is no manifest");
  }
  ManifestFiles files;
  for (const auto& item : json["files"].items()) {
    if (fs::path(item.key()).filename() != item.key() || !item.value().is_array()) {
      damaged(file, "is no manifest");
    }
    auto& parts = files[item.key()];
    for (const Json& part : item.value()) parts.push_back(parse_part(file, part));
  }
  return files;
}

void CheckpointFiles::write_parts(const std::string& name, std::span<const NamedBytes> parts) {
  CHECK(!files_.contains(name), "checkpoint: {} is written twice", name);
  std::vector<std::span<const std::byte>> bytes;
  for (const NamedBytes& part : parts) {
    bytes.push_back(part.bytes);
    files_[name].push_back({part.name, part.bytes.size(), crc32c(part.bytes)});
  }
  write_file(folder_ / name, bytes);
}

void CheckpointFiles::write(const std::string& name, const std::string& text) {
  write_parts(name, std::array{NamedBytes{"text", std::as_bytes(std::span(text))}});
}

void CheckpointFiles::write(const std::string& name, std::span<const HostArray> arrays) {
  std::string header;
  write_parts(name, safetensors_parts(arrays, {{"format", "masque"}}, header));
}

void CheckpointFiles::finish() const {
  write_file(folder_ / kManifest, to_text(files_));
}

bool verify_checkpoint(const fs::path& folder, Scope scope) {
  const fs::path manifest = folder / kManifest;
  std::error_code status;
  if (fs::symlink_status(manifest, status).type() == fs::file_type::not_found) return false;
  const ManifestFiles files = read_manifest(manifest);
  for (const char* const name : kNeeded) {
    if (!files.contains(name) && fs::exists(folder / name, status)) {
      damaged(folder / name, fmt::format("is not in {}", kManifest));
    }
  }
  for (const auto& file : files) {
    if (scope == Scope::everything || file.first == kWeights) {
      verify_file(folder / file.first, file.second);
    }
  }
  return true;
}

}  // namespace masque
