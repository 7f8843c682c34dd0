// A generation remembered step by step: what the viewer of pages shows (apps/report/viewer.js).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "models/sampler.h"
#include "models/tokenizer.h"

namespace masque {

// A text as it stands: _ for [MASK], nothing for [START].
std::string with_blanks(const Tokenizer& tokenizer, std::span<const std::int32_t> ids);

class Recording {
 public:
  // start: (n,T) ids before the first step.
  Recording(std::vector<std::int32_t> start, std::int64_t n);

  void add(const StepReport& report);
  // `frames` of docs/compare-format.md, of one sequence: its start, and every step that changed it.
  nlohmann::json frames(const Tokenizer& tokenizer, std::int64_t sequence) const;

 private:
  struct Change {
    std::int64_t step;
    std::size_t position;  // in its sequence
    std::int32_t token;
    double probability;  // NaN where it was masked again
  };

  std::vector<std::int32_t> start_, now_;     // (n,T)
  std::vector<std::vector<Change>> changes_;  // (n) each step by step
  std::int64_t step_ = 0;
};

}  // namespace masque
