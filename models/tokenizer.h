// Character tokenizer: four special tokens, then the sorted code points of the training text.
// On disk: {"type": "character", "specials": […], "characters": ["\n", " ", "!", …]}, ascending.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace masque {

class Tokenizer {
 public:
  static constexpr std::int32_t kPad = 0, kMask = 1, kStart = 2, kEnd = 3, kSpecials = 4;

  // The distinct code points of `text` (UTF-8; InputError naming the byte where it is not).
  static Tokenizer from_text(std::string_view text);
  // A file that `save` wrote. InputError naming what is wrong in it.
  static Tokenizer load(const std::filesystem::path& file);
  void save(const std::filesystem::path& file) const;

  // InputError naming the character and its position (in characters, from 0) where it is unknown.
  std::vector<std::int32_t> encode(std::string_view text, bool start = false,
                                   bool end = false) const;
  // Special tokens read [PAD], [MASK], [START], [END].
  std::string decode(std::span<const std::int32_t> tokens) const;

  std::int64_t vocab_size() const;
  // The code points of ids kSpecials, kSpecials + 1, …, ascending.
  std::span<const char32_t> characters() const { return characters_; }
  // (V) 1 for tokens that are never predicted: [PAD], [MASK], [START], and [END], which character
  // data lack.
  std::vector<std::uint8_t> excluded() const;
  bool operator==(const Tokenizer& other) const { return characters_ == other.characters_; }

 private:
  explicit Tokenizer(std::vector<char32_t> characters);

  std::vector<char32_t> characters_;  // of id kSpecials + index, ascending
  std::unordered_map<char32_t, std::int32_t> ids_;
};

}  // namespace masque
