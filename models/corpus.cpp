#include "models/corpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <system_error>

#include "core/check.h"
#include "models/utf8.h"

namespace masque {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kChunk = std::size_t{1} << 20;
constexpr const char* kMends = "save it as UTF-8, or give --tokenizer byte, which takes any bytes";

// All bytes, or nothing where they cannot be read.
std::optional<std::string> read_bytes(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return std::nullopt;
  std::string bytes;
  std::error_code unknown;
  if (const auto size = fs::file_size(file, unknown); !unknown) bytes.reserve(size);
  std::vector<char> chunk(kChunk);
  do {
    stream.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    bytes.append(chunk.data(), static_cast<std::size_t>(stream.gcount()));
  } while (stream);
  if (stream.bad()) return std::nullopt;
  return bytes;
}

std::string read_file(const fs::path& file) {
  std::error_code error;
  if (fs::is_directory(file, error)) {
    throw InputError(fmt::format("{} is a folder: name a text file", file.string()));
  }
  std::optional<std::string> bytes = read_bytes(file);
  if (!bytes) {
    throw InputError(fmt::format("cannot read {}: name a readable text file", file.string()));
  }
  if (bytes->empty()) {
    throw InputError(fmt::format("{} is empty: name a file with text", file.string()));
  }
  return std::move(*bytes);
}

std::string not_utf8(const Utf8Fault& fault) {
  return fmt::format("is not UTF-8: {}", describe(fault));
}

bool hidden(const fs::path& path) {
  return path.filename().string().front() == '.';
}

// Every file below a folder that is not hidden, nor in a hidden folder, by its relative name.
std::vector<std::string> files_below(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    std::error_code unknown;
    const bool is_folder = entry->is_directory(unknown);
    if (hidden(entry->path())) {
      if (is_folder) entry.disable_recursion_pending();
    } else if (!is_folder) {
      names.push_back(entry->path().lexically_relative(folder).generic_string());
    }
  }
  if (error) {
    throw InputError(fmt::format("cannot read the folder {} ({}): name a readable one",
                                 folder.string(), error.message()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Why a file of a folder is left out; nothing where `bytes` is its text.
std::optional<std::string> reason_against(const fs::path& file, bool any_bytes,
                                          std::string& bytes) {
  std::error_code unknown;
  if (!fs::is_regular_file(file, unknown)) return "is no regular file";
  std::optional<std::string> read = read_bytes(file);
  if (!read) return "cannot be read";
  if (read->empty()) return "is empty";
  if (!any_bytes) {
    if (const auto fault = find_fault(*read)) return not_utf8(*fault);
  }
  bytes = std::move(*read);
  return std::nullopt;
}

}  // namespace

fs::path find_data(const std::string& name) {
  std::vector<fs::path> places = {name};
  if (!fs::path(name).is_absolute()) {
    const char* directory = std::getenv("MASQUE_DATA_DIR");
    if (directory != nullptr && *directory != '\0') places.push_back(fs::path(directory) / name);
    places.push_back(fs::path("data") / name);
    places.push_back(fs::path("..") / "shared" / "data" / name);
  }
  std::string looked;
  for (const fs::path& place : places) {
    std::error_code error;
    if (!name.empty() && fs::exists(place, error)) return place;
    looked += (looked.empty() ? "" : ", ") + place.string();
  }
  throw InputError(fmt::format(
      "no data file \"{}\" (looked for {}): name an existing text file or folder, or make one with "
      "`masque data fetch tinyshakespeare` or `masque data synth`",
      name, looked));
}

std::string read_text(const fs::path& file) {
  std::string text = read_file(file);
  if (const auto fault = find_fault(text)) {
    throw InputError(fmt::format("{} {}: save it as UTF-8", file.string(), not_utf8(*fault)));
  }
  return text;
}

Corpus read_corpus(const fs::path& path, const std::string& tokenizer) {
  const bool any_bytes = tokenizer == "byte";
  Corpus corpus;
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    corpus.text = read_file(path);
    if (any_bytes) return corpus;
    if (const auto fault = find_fault(corpus.text)) {
      throw InputError(fmt::format("{} {}: {}", path.string(), not_utf8(*fault), kMends));
    }
    return corpus;
  }
  for (const std::string& name : files_below(path)) {
    std::string bytes;
    if (const auto reason = reason_against(path / name, any_bytes, bytes)) {
      corpus.left_out.push_back({name, *reason});
      continue;
    }
    if (!corpus.files.empty()) corpus.text += kSeparator;
    corpus.text += bytes;
    corpus.files.push_back({name, static_cast<std::int64_t>(bytes.size())});
  }
  if (!corpus.files.empty()) return corpus;
  if (corpus.left_out.empty()) {
    throw InputError(fmt::format(
        "{} holds no files but hidden ones: name a file or folder with text", path.string()));
  }
  // Of several reasons the one that can be mended.
  auto told = std::find_if(corpus.left_out.begin(), corpus.left_out.end(), [](const auto& file) {
    return file.why.find("UTF-8") != std::string::npos;
  });
  const bool bytes_would_do = told != corpus.left_out.end();
  if (!bytes_would_do) told = corpus.left_out.begin();
  const std::size_t others = corpus.left_out.size() - 1;
  throw InputError(fmt::format("{} holds no text: {} {}{}: {}", path.string(), told->name,
                               told->why, others == 0 ? "" : fmt::format(", and {} more", others),
                               bytes_would_do ? kMends : "name a file or folder with text"));
}

}  // namespace masque
