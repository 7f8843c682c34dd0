#include "models/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/check.h"
#include "models/files.h"
#include "models/strict_json.h"
#include "models/utf8.h"

namespace masque {
namespace {

constexpr std::array<const char*, Tokenizer::kSpecials> kSpecialNames = {"[PAD]", "[MASK]",
                                                                         "[START]", "[END]"};

constexpr const char* kMend = "use the tokenizer.json that training wrote";
// tokenizer.json of so many fits kMostJsonBytes.
constexpr std::size_t kMostCharacters = 65536;

[[noreturn]] void reject(const std::filesystem::path& file, const std::string& reason) {
  throw InputError(fmt::format("{}: {}: {}", file.string(), reason, kMend));
}

// The single code point of element `index` of "characters".
char32_t character_of(const nlohmann::json& element, std::size_t index,
                      const std::filesystem::path& file) {
  if (!element.is_string()) {
    reject(file, fmt::format("characters[{}] is {}, not a string", index, shown(element)));
  }
  const std::u32string code_points = decode_utf8(element.get_ref<const std::string&>());
  if (code_points.size() != 1) {
    reject(file,
           fmt::format("characters[{}] holds {} characters, not 1", index, code_points.size()));
  }
  return code_points.front();
}

}  // namespace

Tokenizer::Tokenizer(std::vector<char32_t> characters) : characters_(std::move(characters)) {
  ids_.reserve(characters_.size());
  auto id = kSpecials;
  for (const char32_t character : characters_) ids_.emplace(character, id++);
}

Tokenizer Tokenizer::from_text(std::string_view text) {
  if (text.empty()) {
    throw InputError("the text is empty: a tokenizer needs at least one character");
  }
  std::vector<bool> seen(0x110000);
  char32_t largest = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t character = next_code_point(text, at);
    seen[character] = true;
    largest = std::max(largest, character);
  }
  std::vector<char32_t> characters;
  for (char32_t character = 0; character <= largest; ++character) {
    if (seen[character]) characters.push_back(character);
  }
  if (characters.size() > kMostCharacters) {
    throw InputError(fmt::format("the text has {} different characters, more than {}: give text",
                                 characters.size(), kMostCharacters));
  }
  return Tokenizer(std::move(characters));
}

Tokenizer Tokenizer::load(const std::filesystem::path& file) {
  const nlohmann::json json = read_strict_json(file, {file.string(), kMend, 2});
  if (!json.is_object()) reject(file, "is not a JSON object");
  if (const auto type = json.value("type", nlohmann::json()); type != "character") {
    reject(file, fmt::format("type is {}, not \"character\"", shown(type)));
  }
  const auto specials = json.value("specials", nlohmann::json());
  if (specials != nlohmann::json(kSpecialNames)) {
    reject(file, fmt::format("specials are {}, not {}", shown(specials),
                             nlohmann::json(kSpecialNames).dump()));
  }
  const auto elements = json.value("characters", nlohmann::json());
  if (!elements.is_array() || elements.empty()) reject(file, "characters is not a filled list");
  std::vector<char32_t> characters;
  for (std::size_t index = 0; index < elements.size(); ++index) {
    const char32_t character = character_of(elements[index], index, file);
    if (!characters.empty() && character <= characters.back()) {
      reject(file, fmt::format("characters[{}] {} does not ascend from {}", index,
                               describe(character), describe(characters.back())));
    }
    characters.push_back(character);
  }
  return Tokenizer(std::move(characters));
}

void Tokenizer::save(const std::filesystem::path& file) const {
  nlohmann::ordered_json json;
  json["type"] = "character";
  json["specials"] = kSpecialNames;
  auto& characters = json["characters"] = nlohmann::ordered_json::array();
  for (const char32_t character : characters_) {
    characters.push_back(encode_utf8({&character, 1}));
  }
  write_file(file, json.dump() + "\n");
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, bool start, bool end) const {
  std::vector<std::int32_t> tokens;
  tokens.reserve(count_code_points(text) + 2);
  if (start) tokens.push_back(kStart);
  std::size_t at = 0;
  for (std::size_t position = 0; at < text.size(); ++position) {
    const char32_t character = next_code_point(text, at);
    const auto found = ids_.find(character);
    if (found == ids_.end()) {
      throw InputError(
          fmt::format("character {} at position {} is not among the {} characters of the "
                      "vocabulary: remove it, "
                      "or train on text that has it",
                      describe(character), position, characters_.size()));
    }
    tokens.push_back(found->second);
  }
  if (end) tokens.push_back(kEnd);
  return tokens;
}

std::string Tokenizer::decode(std::span<const std::int32_t> tokens) const {
  std::string text;
  text.reserve(tokens.size());
  for (const std::int32_t token : tokens) {
    CHECK(token >= 0 && token < vocab_size(), "decode: token {} must be in [0, {})", token,
          vocab_size());
    const auto index = static_cast<std::size_t>(token);
    if (token < kSpecials) {
      text += kSpecialNames[index];
    } else {
      append_utf8(text, characters_[index - kSpecials]);
    }
  }
  return text;
}

std::int64_t Tokenizer::vocab_size() const {
  return kSpecials + static_cast<std::int64_t>(characters_.size());
}

std::vector<std::uint8_t> Tokenizer::excluded() const {
  std::vector<std::uint8_t> flags(static_cast<std::size_t>(vocab_size()), 0);
  std::fill(flags.begin(), flags.begin() + kSpecials, std::uint8_t{1});
  return flags;
}

}  // namespace masque
