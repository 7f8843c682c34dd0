// Rows of sample quality: `quality` of results.json (docs/compare-format.md). For `masque quality`
// and `masque compare`.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "models/dataset.h"
#include "models/run.h"
#include "models/sample_quality.h"

namespace masque {

// One set of texts and what it measures.
struct QualityRow {
  std::string name, kind;  // kind: real, llada, ar, oracle
  std::string run;         // empty: none
  std::optional<std::string> strategy;
  std::optional<std::int64_t> steps;
  std::optional<double> temperature;
  TextSet texts;
  SampleQuality quality;
  std::optional<double> tokens_per_second;  // of a batch of at most kBatch texts
  std::optional<double> forwards;           // a text
  std::optional<double> tokens_per_forward;
};
nlohmann::ordered_json to_json(const QualityRow& row);

// The protocol that every row of a table shares: as many texts of one length, the same references
// and judges. Row after row may be asked of it.
class QualityMeasure {
 public:
  static constexpr std::int64_t kBatch = 32;  // texts generated at once
  struct Options {
    std::int64_t count = 64, length = 0;               // texts, and tokens of each
    Run* judge = nullptr;                              // an AR run, none of those measured
    const Source* source = nullptr;                    // what wrote the text
    std::function<void(std::int64_t texts)> progress;  // as texts are generated; may be empty
  };

  // Tokenizer and splits must outlive it. InputError where a split is too short for the texts,
  // where the judge cannot judge them, or where the source cannot have written the test split.
  QualityMeasure(const Tokenizer& tokenizer, const Splits& splits, Options options);

  // Test, the value to reach; val, whose divergence to test is the floor; train, which is what
  // models learn to write, and may be further from test. What a text would be compared with itself
  // for is left unknown: divergence of test, judge_kn of val, and of train judge_ar, real_words,
  // novelty and longest_copy.
  std::vector<QualityRow> real_rows() const;
  // Texts of a run: a llada run by options.strategy and steps, an AR run by options.draw alone,
  // without [START] after a line break that is not measured. Named as its folder.
  QualityRow row(Run& run, const SampleOptions& options) const;
  // Texts that a strategy writes with the source's exact conditionals for a model: what is wrong
  // with them is the sampler's doing.
  QualityRow oracle_row(const SampleOptions& options) const;

 private:
  // Generates n texts with the seed given: ids (n,T).
  using Generate = std::function<SampleResult(std::int64_t n, std::uint64_t seed)>;
  void fill(QualityRow& row, std::uint64_t seed, const Generate& generate) const;
  std::vector<std::int32_t> masks(std::int64_t n) const;

  const Tokenizer& tokenizer_;
  Options options_;
  std::vector<std::uint8_t> excluded_;  // (V)
  Lexicon lexicon_;
  KneserNey kn_;
  TextSet test_, val_, train_;
  QualityReferences references_;
};

}  // namespace masque
