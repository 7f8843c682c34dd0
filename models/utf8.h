// UTF-8, strictly: overlong forms, surrogates, truncated sequences and values past U+10FFFF are
// errors.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace masque {

// Where a text stops being UTF-8, and why.
struct Utf8Fault {
  std::size_t at = 0;  // the byte, from 0
  unsigned char byte = 0;
  const char* reason = "";
};
// As in "byte 3 (0xE9) cannot start a character".
std::string describe(const Utf8Fault& fault);

// The code point that starts at byte `at`, which moves past it; where none does, a fault.
std::optional<Utf8Fault> read_utf8(std::string_view text, std::size_t& at, char32_t& code_point);
// The first of the whole text.
std::optional<Utf8Fault> find_fault(std::string_view text);

// As read_utf8. InputError naming the byte where the text is not UTF-8.
char32_t next_utf8(std::string_view text, std::size_t& at);
// All code points of `text`. InputError likewise.
std::u32string decode_utf8(std::string_view text);
void append_utf8(std::string& text, char32_t code_point);
std::string encode_utf8(std::u32string_view text);

inline bool continues_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}
// Of a text that is UTF-8.
std::size_t count_code_points(std::string_view text);
bool is_control(char32_t code_point);

// One code point for a human: itself in quotes, escapes for control characters, and its number, as
// in "é" (U+00E9) or "\n" (U+000A).
std::string describe(char32_t code_point);

}  // namespace masque
