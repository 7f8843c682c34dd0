// The quality of a set of generated texts: judges that are none of the compared models, and what
// models/text_statistics.h tells. Meaningful only beside the same measures of real text.
// Definitions and traps: docs/sample-quality.md
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "models/intervals.h"
#include "models/kneser_ney.h"
#include "models/predictor.h"
#include "models/source.h"
#include "models/text_statistics.h"

namespace masque {

// Nats a token: the mean over a set's texts, and a t interval of that mean, which takes the texts
// to be independent. NaN where there is no judge.
struct Judgement {
  double nats = std::numeric_limits<double>::quiet_NaN();
  Interval ci95{nats, nats};  // NaN for one text too
};

struct SampleQuality {
  static constexpr std::size_t kOrders = 4;  // n-grams of 1 … 4
  static constexpr std::int64_t kNovel = 16, kRepeated = 8;
  static constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

  Judgement judge_ar, judge_kn;
  Judgement judge_source;         // over the texts that the source can write
  double grammatical = kUnknown;  // share of texts that it can
  double entropy = kUnknown;      // of tokens, nats
  std::array<double, kOrders> distinct{kUnknown, kUnknown, kUnknown, kUnknown};
  double self_bleu = kUnknown;
  double real_words = kUnknown;
  std::array<double, kOrders> divergence{kUnknown, kUnknown, kUnknown, kUnknown};
  double novelty = kUnknown;       // share of 16-grams that train lacks
  double longest_copy = kUnknown;  // tokens, the mean over texts
  double repetition = kUnknown;    // of 8-grams
};

// An autoregressive model that judges.
struct Judge {
  Predictor* predictor = nullptr;
  bool start_token = true;  // false: a text's first token is context only
};

// What texts are measured against. Nothing is owned. What is null is left out of the result.
struct QualityReferences {
  std::span<const std::int32_t> train;
  const Lexicon* lexicon = nullptr;  // of train
  const TextSet* test = nullptr;     // for divergence: as many texts of the same length
  const KneserNey* kn = nullptr;     // fitted on val
  Judge judge;                       // not one of the compared models
  const Source* source = nullptr;    // what wrote the text that the models were trained on
  const Tokenizer* tokenizer = nullptr;
  std::span<const std::uint8_t> excluded;  // (V)
};

SampleQuality measure_quality(const TextSet& texts, const QualityReferences& references);

// The judges alone.
Judgement judge_by_model(const TextSet& texts, const Judge& judge,
                         std::span<const std::uint8_t> excluded);
Judgement judge_by_ngrams(const TextSet& texts, const KneserNey& kn);
// Each text as if read at a random offset of what the source writes.
struct SourceJudgement {
  Judgement nats;  // over the texts it can write
  double grammatical = 0;
};
SourceJudgement judge_by_source(const TextSet& texts, const Source& source,
                                const Tokenizer& tokenizer);

}  // namespace masque
