// What `masque sample --watch` shows on stderr. On a terminal the texts in place: what a step wrote
// in bold, its colour by the probability it had, and a dim block where nothing is written yet.
// Elsewhere every state, one after another, with `_` for the blanks.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/sampler.h"
#include "models/tokenizer.h"

namespace masque {

inline constexpr char kBlank = '_';
inline constexpr const char* kRule = "----------------------------------------";

// A text as it stands: kBlank for [MASK], nothing for [START]. rest: stands for each further byte
// of a character that several tokens write.
std::string with_blanks(const Tokenizer& tokenizer, std::span<const std::int32_t> ids,
                        const char* rest = "");

class SampleWatch {
 public:
  SampleWatch(const Tokenizer& tokenizer, std::int64_t n, std::int64_t steps);
  // On a terminal: shows the last state, or makes room for the texts where they come there too.
  ~SampleWatch();
  SampleWatch(const SampleWatch&) = delete;
  SampleWatch& operator=(const SampleWatch&) = delete;

  // A frame at most 30 times a second; what steps in between wrote is new in the next.
  void show(const StepReport& report);

 private:
  enum class Style { plain, blank, sure, likely, unlikely };
  struct Cell {
    char32_t character;
    Style style;
  };
  using Line = std::vector<Cell>;

  void print_state(std::span<const std::int32_t> sequences) const;
  void draw();
  // The texts as lines of at most `columns`.
  std::vector<Line> lines(std::size_t columns) const;
  Style style_of(std::size_t index) const;
  std::string painted(const Line& line) const;

  const Tokenizer& tokenizer_;
  std::int64_t n_, steps_, step_ = 0;
  bool in_place_, colour_, begun_ = false, pending_ = false;
  std::vector<std::int32_t> ids_;  // (n,T)
  std::vector<double> fresh_;  // (n,T) probabilities of what is new since the last frame, or NaN
  std::chrono::steady_clock::time_point last_frame_;
};

}  // namespace masque
