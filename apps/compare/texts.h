// The text of a comparison: its splits, the windows of each that are scored, and what is known of
// it before anything is trained.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "apps/compare/likelihoods.h"
#include "apps/compare/plan.h"
#include "models/dataset.h"
#include "models/tokenizer.h"

namespace masque {

// The text that a comparison is about.
struct CompareText {
  std::string file;  // or folder
  Tokenizer tokenizer;
  std::vector<std::int32_t> tokens;

  CompareText(std::string path, const std::string& kind, const std::string& text);
  std::int64_t size() const { return static_cast<std::int64_t>(tokens.size()); }
};

struct CompareTexts {
  CompareText text;
  Splits splits;
  ScoredSplit train, val, test;  // of train a part; their tokens lie in `splits`

  // InputError as read_corpus, and where a split is shorter than a window.
  explicit CompareTexts(const Plan& plan);
  CompareTexts(const CompareTexts&) = delete;  // they point into it
  CompareTexts& operator=(const CompareTexts&) = delete;

 private:
  CompareTexts(const Plan& plan, const RunConfig& config);
};

// environment, data, protocol and baselines of docs/compare-format.md.
nlohmann::json setting_of(const Plan& plan, const CompareTexts& texts, const Device& device);

}  // namespace masque
