// Four special tokens, then one token a character of the training text, or one a byte.
// On disk: {"type": "character", "specials": […], "characters": ["\n", " ", "!", …]}, ascending, or
// {"type": "byte", "specials": […]}.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
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
  // The 256 bytes, which serve any text.
  static Tokenizer of_bytes();
  // kind: char, of `text`, or byte, as the key `tokenizer` of a configuration has it.
  static Tokenizer make(const std::string& kind, std::string_view text);
  // A file that `save` wrote. InputError naming what is wrong in it.
  static Tokenizer load(const std::filesystem::path& file);
  void save(const std::filesystem::path& file) const;

  bool bytes() const { return bytes_; }
  const char* kind() const { return bytes_ ? "byte" : "char"; }
  // What a token is, for people: character or byte.
  const char* unit() const { return bytes_ ? "byte" : "character"; }

  // blank: reads [MASK]. InputError naming a character that is unknown and its position (in
  // characters, from 0).
  std::vector<std::int32_t> encode(std::string_view text, std::optional<char> blank = {}) const;
  // Always UTF-8: bytes that make no character read U+FFFD, each; special tokens read [PAD],
  // [MASK], [START], [END].
  std::string decode(std::span<const std::int32_t> tokens) const;
  // decode() cut into what each token reads as in its place. Of a character of several bytes the
  // first reads as all of it, the others as nothing.
  std::vector<std::string> pieces(std::span<const std::int32_t> tokens) const;

  std::int64_t vocab_size() const;
  // The code points, or the values of the bytes, of ids kSpecials, kSpecials + 1, …, ascending.
  std::span<const char32_t> symbols() const { return symbols_; }
  // Id of a line break, where the vocabulary has one.
  std::optional<std::int32_t> line_break() const;
  // Bytes of UTF-8 that the tokens stand for, special ones none.
  std::int64_t count_bytes(std::span<const std::int32_t> tokens) const;
  // (V) 1 for tokens that are never predicted: [PAD], [MASK], [START], and [END], which texts lack.
  std::vector<std::uint8_t> excluded() const;
  bool operator==(const Tokenizer& other) const {
    return bytes_ == other.bytes_ && symbols_ == other.symbols_;
  }

 private:
  Tokenizer(bool bytes, std::vector<char32_t> symbols);

  bool bytes_;
  std::vector<char32_t> symbols_;  // of id kSpecials + index, ascending
  std::unordered_map<char32_t, std::int32_t> ids_;
};

}  // namespace masque
