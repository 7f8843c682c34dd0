#include "apps/sample/styled_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/terminal.h"
#include "models/utf8.h"

namespace masque {
namespace {

constexpr std::size_t kTab = 8;
constexpr char32_t kBlock = U'\u2591', kReturn = U'\u21b5';  // ░ ↵

void change_style(std::string& text, Style& now, Style next) {
  if (now == next) return;
  text += next.empty() ? "\033[0m" : fmt::format("\033[0;{}m", next);
  now = next;
}

// Fills lines from the left.
class Wrapping {
 public:
  explicit Wrapping(std::size_t columns) : columns_(columns), lines_(1) {}

  void put(char32_t character, Style style) {
    if (lines_.back().width + width_of(character) > columns_) end_line();
    lines_.back().put(character, style);
  }
  void put_tab() {
    const std::size_t spaces = kTab - lines_.back().width % kTab;
    for (std::size_t i = 0; i < spaces && has_room(); ++i) put(U' ', kPlain);
  }
  void end_line() { lines_.emplace_back(); }
  bool has_room() const { return lines_.back().width < columns_; }
  std::size_t line() const { return lines_.size() - 1; }
  std::vector<StyledLine> take() { return std::move(lines_); }

 private:
  std::size_t columns_;
  std::vector<StyledLine> lines_;
};

void put_token(Wrapping& wrapping, const std::string& text, Style style, bool fresh) {
  for (const char32_t character : decode_utf8(text)) {
    if (character == U'\n') {
      if (fresh && wrapping.has_room()) wrapping.put(kReturn, style);
      wrapping.end_line();
    } else if (character == U'\t') {
      wrapping.put_tab();
    } else {
      wrapping.put(is_control(character) ? U' ' : character, style);
    }
  }
}

}  // namespace

Style style_of(double probability, bool fresh) {
  if (probability >= kSure) return fresh ? "1;32" : "32";
  if (probability >= kLikely) return fresh ? "1;33" : "33";
  return fresh ? "1;31" : "31";
}

void StyledLine::put(char32_t character, Style style) {
  characters.push_back({character, style});
  width += width_of(character);
}

void StyledLine::put(const std::string& text, Style style) {
  for (const char32_t character : decode_utf8(text)) put(character, style);
}

std::string painted(const StyledLine& line, bool colour) {
  std::string text;
  Style now;
  for (const auto& [character, style] : line.characters) {
    if (colour) change_style(text, now, style);
    append_utf8(text, character);
  }
  change_style(text, now, kPlain);
  return text;
}

Style TextState::style(std::size_t index) const {
  if (ids[index] == Tokenizer::kMask) return kDim;
  if (std::isnan(probabilities[index])) return kGiven;
  return style_of(probabilities[index], fresh[index] != 0);
}

WrappedTexts wrap(const TextState& state, const SamplePlan& plan, const Tokenizer& tokenizer,
                  std::size_t columns) {
  Wrapping wrapping(columns);
  bool any_blank = false;
  WrappedTexts wrapped;
  const auto T = static_cast<std::size_t>(plan.T);
  for (std::size_t begin = 0; begin < state.ids.size(); begin += T) {
    if (begin > 0) {
      wrapping.end_line();
      for (const char character : std::string_view(kRule)) {
        if (wrapping.has_room()) wrapping.put(static_cast<char32_t>(character), kPlain);
      }
      wrapping.end_line();
    }
    const std::vector<std::string> pieces =
        tokenizer.pieces(std::span(state.ids).subspan(begin, T));
    for (std::size_t i = begin; i < begin + T; ++i) {
      const std::int32_t id = state.ids[i];
      if (id == Tokenizer::kStart) continue;
      if (id != Tokenizer::kMask) {
        put_token(wrapping, pieces[i - begin], state.style(i), state.fresh[i] != 0);
        continue;
      }
      wrapping.put(kBlock, state.style(i));
      if (!any_blank) wrapped.first_blank = wrapping.line();
      any_blank = true;
      if (plan.causal) break;
    }
  }
  if (!any_blank) wrapped.first_blank = wrapping.line();
  wrapped.lines = wrapping.take();
  return wrapped;
}

std::string painted_texts(const TextState& state, const SamplePlan& plan,
                          const Tokenizer& tokenizer, bool colour) {
  std::string text;
  const auto T = static_cast<std::size_t>(plan.T);
  for (std::size_t begin = 0; begin < state.ids.size(); begin += T) {
    if (begin > 0) text += fmt::format("{}\n", kRule);
    Style now;
    const std::vector<std::string> pieces =
        tokenizer.pieces(std::span(state.ids).subspan(begin, T));
    for (std::size_t i = begin; i < begin + T; ++i) {
      if (state.ids[i] == Tokenizer::kStart) continue;
      if (colour) change_style(text, now, state.style(i));
      text += pieces[i - begin];
    }
    change_style(text, now, kPlain);
    text += '\n';
  }
  return text;
}

}  // namespace masque
