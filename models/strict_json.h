// JSON from files that may come from strangers: bounded in size and depth, no key twice. What does
// not hold is refused while it is read, before it takes memory.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace masque {

// Who is asked for what: the file's name and the mend, as in "NAME: what is wrong: MEND".
struct JsonSource {
  std::string name, mend;
  int depth = 4;  // objects and arrays within each other, at most
};

constexpr std::uintmax_t kMostJsonBytes = 512 * 1024;  // of a file

// InputError where `text` is not such JSON.
nlohmann::json parse_strict_json(const std::string& text, const JsonSource& source);
// InputError too where the file cannot be read or is larger than kMostJsonBytes.
nlohmann::json read_strict_json(const std::filesystem::path& file, const JsonSource& source);

// For an error line, in ASCII: a string in quotes, its first 80 bytes; a value, cut after 80 bytes.
std::string in_quotes(const std::string& text);
std::string shown(const nlohmann::json& value);

}  // namespace masque
