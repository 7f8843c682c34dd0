// UTF-8, strictly: overlong forms, surrogates, truncated sequences and values past U+10FFFF are
// errors.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace masque {

// InputError naming the byte (from 0) where `text` is not UTF-8.
std::u32string decode_utf8(std::string_view text);
std::size_t count_code_points(std::string_view text);
char32_t next_code_point(std::string_view text, std::size_t& at);  // moves `at` behind it
void append_utf8(std::string& text, char32_t code_point);
std::string encode_utf8(std::u32string_view text);

// One code point for a human: itself in quotes, escapes for control characters, and its number, as
// in "é" (U+00E9) or "\n" (U+000A).
std::string describe(char32_t code_point);

}  // namespace masque
