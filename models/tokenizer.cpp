#include "models/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <numeric>
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

Tokenizer::Tokenizer(bool bytes, std::vector<char32_t> symbols)
    : bytes_(bytes), symbols_(std::move(symbols)) {
  ids_.reserve(symbols_.size());
  auto id = kSpecials;
  for (const char32_t symbol : symbols_) ids_.emplace(symbol, id++);
}

Tokenizer Tokenizer::from_text(std::string_view text) {
  if (text.empty()) {
    throw InputError("the text is empty: a tokenizer needs at least one character");
  }
  std::vector<bool> seen(0x110000);
  char32_t largest = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t character = next_utf8(text, at);
    seen[character] = true;
    largest = std::max(largest, character);
  }
  std::vector<char32_t> characters;
  for (char32_t character = 0; character <= largest; ++character) {
    if (seen[character]) characters.push_back(character);
  }
  if (characters.size() > kMostCharacters) {
    throw InputError(fmt::format(
        "the text has {} different characters, more than {}: give --tokenizer byte, which has 256",
        characters.size(), kMostCharacters));
  }
  return {false, std::move(characters)};
}

Tokenizer Tokenizer::of_bytes() {
  std::vector<char32_t> values(256);
  std::iota(values.begin(), values.end(), char32_t{0});
  return {true, std::move(values)};
}

Tokenizer Tokenizer::make(const std::string& kind, std::string_view text) {
  return kind == "byte" ? of_bytes() : from_text(text);
}

Tokenizer Tokenizer::load(const std::filesystem::path& file) {
  const nlohmann::json json = read_strict_json(file, {file.string(), kMend, 2});
  if (!json.is_object()) reject(file, "is not a JSON object");
  const auto type = json.value("type", nlohmann::json());
  if (type != "character" && type != "byte") {
    reject(file, fmt::format("type is {}, not \"character\" or \"byte\"", shown(type)));
  }
  const bool bytes = type == "byte";
  for (const auto& entry : json.items()) {
    const std::string& key = entry.key();
    if (key == "type" || key == "specials" || (key == "characters" && !bytes)) continue;
    reject(file, fmt::format("{} has no place in the type {}", in_quotes(key), shown(type)));
  }
  const auto specials = json.value("specials", nlohmann::json());
  if (specials != nlohmann::json(kSpecialNames)) {
    reject(file, fmt::format("specials are {}, not {}", shown(specials),
                             nlohmann::json(kSpecialNames).dump()));
  }
  if (bytes) return of_bytes();
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
  return {false, std::move(characters)};
}

void Tokenizer::save(const std::filesystem::path& file) const {
  nlohmann::ordered_json json;
  json["type"] = unit();
  json["specials"] = kSpecialNames;
  if (!bytes_) {
    auto& characters = json["characters"] = nlohmann::ordered_json::array();
    for (const char32_t symbol : symbols_) characters.push_back(encode_utf8({&symbol, 1}));
  }
  write_file(file, json.dump() + "\n");
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text,
                                            std::optional<char> blank) const {
  std::vector<std::int32_t> tokens;
  tokens.reserve(bytes_ ? text.size() : count_code_points(text));
  for (std::size_t at = 0; at < text.size();) {
    const bool masked = blank && text[at] == *blank;
    const char32_t symbol = bytes_ ? static_cast<unsigned char>(text[at++]) : next_utf8(text, at);
    if (masked) {
      tokens.push_back(kMask);
      continue;
    }
    const auto found = ids_.find(symbol);
    if (found == ids_.end()) {
      throw InputError(fmt::format(
          "character {} at position {} is not among the {} characters of the vocabulary: remove "
          "it, or train on text that has it",
          describe(symbol), tokens.size(), symbols_.size()));
    }
    tokens.push_back(found->second);
  }
  return tokens;
}

std::string Tokenizer::decode(std::span<const std::int32_t> tokens) const {
  std::string text;
  text.reserve(tokens.size());
  for (const std::string& piece : pieces(tokens)) text += piece;
  return text;
}

std::vector<std::string> Tokenizer::pieces(std::span<const std::int32_t> tokens) const {
  std::vector<std::string> pieces;
  pieces.reserve(tokens.size());
  std::string run;  // bytes since the last special token
  const auto read_run = [&] {
    char32_t ignored = 0;
    for (std::size_t at = 0; at < run.size();) {
      const std::size_t begin = at;
      if (read_utf8(run, at, ignored)) {
        pieces.emplace_back("\uFFFD");
        ++at;
        continue;
      }
      pieces.push_back(run.substr(begin, at - begin));
      pieces.resize(pieces.size() + at - begin - 1);
    }
    run.clear();
  };
  for (const std::int32_t token : tokens) {
    CHECK(token >= 0 && token < vocab_size(), "decode: token {} must be in [0, {})", token,
          vocab_size());
    const auto index = static_cast<std::size_t>(token);
    if (token < kSpecials) {
      read_run();
      pieces.emplace_back(kSpecialNames[index]);
    } else if (bytes_) {
      run.push_back(static_cast<char>(symbols_[index - kSpecials]));
    } else {
      pieces.push_back(encode_utf8({&symbols_[index - kSpecials], 1}));
    }
  }
  read_run();
  return pieces;
}

std::int64_t Tokenizer::vocab_size() const {
  return kSpecials + static_cast<std::int64_t>(symbols_.size());
}

std::optional<std::int32_t> Tokenizer::line_break() const {
  const auto found = ids_.find(U'\n');
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

std::int64_t Tokenizer::count_bytes(std::span<const std::int32_t> tokens) const {
  std::int64_t count = 0;
  for (const std::int32_t token : tokens) {
    if (token < kSpecials) continue;
    const char32_t symbol = symbols_[static_cast<std::size_t>(token - kSpecials)];
    count += bytes_ || symbol < 0x80 ? 1 : symbol < 0x800 ? 2 : symbol < 0x10000 ? 3 : 4;
  }
  return count;
}

std::vector<std::uint8_t> Tokenizer::excluded() const {
  std::vector<std::uint8_t> flags(static_cast<std::size_t>(vocab_size()), 0);
  std::fill(flags.begin(), flags.begin() + kSpecials, std::uint8_t{1});
  return flags;
}

}  // namespace masque
