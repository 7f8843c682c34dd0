#include "models/utf8.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "kernels/backend.h"

namespace masque {
namespace {

struct Lead {
  std::size_t length;   // of the sequence; 0: not a lead byte
  std::uint32_t bits;   // of the code point in the lead byte
  std::uint32_t least;  // smallest code point that needs this length
};

Lead lead_of(unsigned char byte) {
  if (byte < 0x80) return {1, byte, 0};
  if (byte < 0xC0) return {0, 0, 0};
  if (byte < 0xE0) return {2, byte & 0x1Fu, 0x80};
  if (byte < 0xF0) return {3, byte & 0x0Fu, 0x800};
  if (byte < 0xF8) return {4, byte & 0x07u, 0x10000};
  return {0, 0, 0};
}

}  // namespace

std::string describe(const Utf8Fault& fault) {
  return fmt::format("byte {} (0x{:02X}) {}", fault.at, fault.byte, fault.reason);
}

std::optional<Utf8Fault> read_utf8(std::string_view text, std::size_t& at, char32_t& code_point) {
  const auto first = static_cast<unsigned char>(text[at]);
  const auto fault = [&](const char* reason) { return Utf8Fault{at, first, reason}; };
  const Lead lead = lead_of(first);
  if (lead.length == 0) return fault("cannot start a character");
  std::uint32_t value = lead.bits;
  for (std::size_t i = 1; i < lead.length; ++i) {
    if (at + i >= text.size()) return fault("starts a character that the end of the text cuts off");
    const auto byte = static_cast<unsigned char>(text[at + i]);
    if ((byte & 0xC0u) != 0x80u) return fault("starts a character that is cut off");
    value = (value << 6) | (byte & 0x3Fu);
  }
  if (value < lead.least) return fault("starts an overlong form");
  if (value >= 0xD800 && value <= 0xDFFF) return fault("starts a surrogate");
  if (value > 0x10FFFF) return fault("starts a value past U+10FFFF");
  code_point = static_cast<char32_t>(value);
  at += lead.length;
  return std::nullopt;
}

std::optional<Utf8Fault> find_fault(std::string_view text) {
  char32_t ignored = 0;
  for (std::size_t at = 0; at < text.size();) {
    if (const auto fault = read_utf8(text, at, ignored)) return fault;
  }
  return std::nullopt;
}

char32_t next_utf8(std::string_view text, std::size_t& at) {
  char32_t code_point = 0;
  if (const auto fault = read_utf8(text, at, code_point)) {
    throw InputError(fmt::format("the text is not UTF-8: {}: save it as UTF-8", describe(*fault)));
  }
  return code_point;
}

std::u32string decode_utf8(std::string_view text) {
  std::u32string code_points;
  code_points.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) code_points.push_back(next_utf8(text, at));
  return code_points;
}

void append_utf8(std::string& text, char32_t code_point) {
  const auto value = static_cast<std::uint32_t>(code_point);
  const auto tail = [&](int shift) {
    text.push_back(static_cast<char>(0x80u | ((value >> shift) & 0x3Fu)));
  };
  if (value < 0x80) {
    text.push_back(static_cast<char>(value));
  } else if (value < 0x800) {
    text.push_back(static_cast<char>(0xC0u | (value >> 6)));
    tail(0);
  } else if (value < 0x10000) {
    text.push_back(static_cast<char>(0xE0u | (value >> 12)));
    tail(6);
    tail(0);
  } else {
    text.push_back(static_cast<char>(0xF0u | (value >> 18)));
    tail(12);
    tail(6);
    tail(0);
  }
}

std::string encode_utf8(std::u32string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (const char32_t code_point : text) append_utf8(bytes, code_point);
  return bytes;
}

std::size_t count_code_points(std::string_view text) {
  return text.size() -
         static_cast<std::size_t>(std::count_if(text.begin(), text.end(), continues_character));
}

bool is_control(char32_t code_point) {
  return code_point < 0x20 || (code_point >= 0x7F && code_point < 0xA0);
}

std::string describe(char32_t code_point) {
  const auto value = static_cast<std::uint32_t>(code_point);
  std::string shown;
  if (value == '\n') {
    shown = "\\n";
  } else if (value == '\r') {
    shown = "\\r";
  } else if (value == '\t') {
    shown = "\\t";
  } else if (is_control(code_point)) {
    shown = fmt::format("\\x{:02x}", value);
  } else {
    append_utf8(shown, code_point);
  }
  return fmt::format("\"{}\" (U+{:04X})", shown, value);
}

}  // namespace masque
