// Generated texts as a terminal shows them: each character in a style that says how probable it
// was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "apps/sample/plan.h"
#include "models/tokenizer.h"

namespace masque {

// Parameters of SGR; empty: as the terminal writes by itself.
using Style = std::string_view;
inline constexpr Style kPlain, kGiven = "1", kDim = "2";

inline constexpr double kSure = 0.9, kLikely = 0.5;
// Green from kSure, yellow from kLikely, red below; in bold what is fresh.
Style style_of(double probability, bool fresh = false);

struct StyledLine {
  struct Character {
    char32_t character;
    Style style;
  };
  std::vector<Character> characters;
  std::size_t width = 0;  // columns

  void put(char32_t character, Style style);
  void put(const std::string& text, Style style);
};
std::string painted(const StyledLine& line, bool colour);

// What is written so far.
struct TextState {
  std::vector<std::int32_t> ids;      // (n,T)
  std::vector<double> probabilities;  // (n,T) NaN of what was given
  std::vector<std::uint8_t> fresh;    // (n,T)

  Style style(std::size_t index) const;
};

struct WrappedTexts {
  std::vector<StyledLine> lines;
  std::size_t first_blank = 0;  // its line; the last one where there is none
};
// Lines of at most `columns`, a rule between texts. Blanks are dim blocks; of what is written left
// to right only the next one is shown.
WrappedTexts wrap(const TextState& state, const SamplePlan& plan, const Tokenizer& tokenizer,
                  std::size_t columns);

// The texts whole, as they are printed, but in their styles.
std::string painted_texts(const TextState& state, const SamplePlan& plan,
                          const Tokenizer& tokenizer, bool colour);

}  // namespace masque
