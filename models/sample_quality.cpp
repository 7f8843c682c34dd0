#include "models/sample_quality.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/copied_spans.h"
#include "models/likelihood.h"

namespace masque {
namespace {

// Of texts with these nats (n) in all, each of T tokens.
Judgement judgement(std::span<const double> nats, std::int64_t T) {
  Judgement result;
  if (nats.empty()) return result;
  const auto n = static_cast<double>(nats.size()), tokens = static_cast<double>(T);
  const double mean = std::accumulate(nats.begin(), nats.end(), 0.0) / n;
  result.nats = mean / tokens;
  if (nats.size() < 2) return result;
  double squares = 0;
  for (const double value : nats) squares += (value - mean) * (value - mean);
  const double half = student_t(static_cast<std::int64_t>(nats.size()) - 1) *
                      std::sqrt(squares / (n - 1) / n) / tokens;
  result.ci95 = {result.nats - half, result.nats + half};
  return result;
}

void measure_copies(const TextSet& texts, std::span<const std::int32_t> train,
                    SampleQuality& quality) {
  const std::vector<std::int64_t> spans = copied_spans(texts.ids, texts.T, train);
  std::int64_t grams = 0, novel = 0, longest = 0;
  for (auto text = spans.begin(); text != spans.end(); text += texts.T) {
    longest += *std::max_element(text, text + texts.T);
    for (std::int64_t i = SampleQuality::kNovel - 1; i < texts.T; ++i) {
      ++grams;
      novel += text[i] < SampleQuality::kNovel ? 1 : 0;
    }
  }
  quality.longest_copy = static_cast<double>(longest) / static_cast<double>(texts.count());
  if (grams > 0) quality.novelty = static_cast<double>(novel) / static_cast<double>(grams);
}

}  // namespace

Judgement judge_by_model(const TextSet& texts, const Judge& judge,
                         std::span<const std::uint8_t> excluded) {
  const std::int64_t context_only = judge.start_token ? 0 : 1;
  if (texts.T <= context_only) return {};
  std::vector<Window> windows;
  for (std::int64_t i = 0; i < texts.count(); ++i) {
    windows.push_back({i * texts.T, texts.T, context_only});
  }
  LikelihoodOptions options;
  options.start_token = judge.start_token;
  const Likelihood likelihood =
      exact_likelihood(*judge.predictor, texts.ids, windows, excluded, options);
  return judgement(likelihood.window_nats, texts.T - context_only);
}

Judgement judge_by_ngrams(const TextSet& texts, const KneserNey& kn) {
  std::vector<double> nats;
  for (std::int64_t i = 0; i < texts.count(); ++i) nats.push_back(kn.text_nats(texts.text(i)));
  return judgement(nats, texts.T);
}

SourceJudgement judge_by_source(const TextSet& texts, const Source& source,
                                const Tokenizer& tokenizer) {
  std::vector<double> nats;
  for (std::int64_t i = 0; i < texts.count(); ++i) {
    const double value = source.window_nats(tokenizer.decode(texts.text(i)));
    if (std::isfinite(value)) nats.push_back(value);
  }
  return {judgement(nats, texts.T),
          static_cast<double>(nats.size()) / static_cast<double>(texts.count())};
}

SampleQuality measure_quality(const TextSet& texts, const QualityReferences& references) {
  SampleQuality quality;
  if (texts.count() == 0) return quality;
  if (references.judge.predictor != nullptr) {
    quality.judge_ar = judge_by_model(texts, references.judge, references.excluded);
  }
  if (references.kn != nullptr) quality.judge_kn = judge_by_ngrams(texts, *references.kn);
  if (references.source != nullptr && references.tokenizer != nullptr) {
    const SourceJudgement judged =
        judge_by_source(texts, *references.source, *references.tokenizer);
    quality.judge_source = judged.nats;
    quality.grammatical = judged.grammatical;
  }
  quality.entropy = token_entropy(texts);
  for (std::size_t k = 0; k < SampleQuality::kOrders; ++k) {
    const auto n = static_cast<std::int64_t>(k + 1);
    quality.distinct[k] = distinct_ngrams(texts, n);
    if (references.test != nullptr) {
      quality.divergence[k] = ngram_divergence(texts, *references.test, n);
    }
  }
  quality.self_bleu = self_bleu(texts);
  if (references.lexicon != nullptr) quality.real_words = references.lexicon->real_words(texts);
  if (!references.train.empty()) measure_copies(texts, references.train, quality);
  quality.repetition = repetition(texts, SampleQuality::kRepeated);
  return quality;
}

}  // namespace masque
