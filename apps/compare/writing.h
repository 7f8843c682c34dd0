// What the models of a comparison write: samples to read, and generations to step through.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "models/run.h"

namespace masque {

// What both models write on from: nothing, and the beginning of the test split.
struct WritingTask {
  std::span<const std::int32_t> test;  // tokens
  std::int64_t texts = 2;              // of each kind
  std::uint64_t seed = 1;
};

// `samples` of docs/compare-format.md, of one run.
nlohmann::json sample_rows(Run& run, const std::string& id, const WritingTask& task);

// `viewer` of docs/compare-format.md: a few generations of one run, frame by frame. LLaDA also
// fills blanks in a passage of the test split.
nlohmann::json viewer_rows(Run& run, const std::string& id, const WritingTask& task);

}  // namespace masque
