#include "models/sample_quality.h"

#include <cmath>

#include "models/sampler.h"
#include "tests/support/catch.h"
#include "tests/support/toy_predictor.h"

namespace masque::test {
namespace {

using Ids = std::vector<std::int32_t>;

TextSet chain_texts(const MarkovChain& chain, std::int64_t count, std::int64_t T) {
  TextSet texts;
  texts.T = T;
  for (std::int64_t i = 0; i < count; ++i) {
    const Ids text = chain.generate(T, static_cast<std::uint64_t>(i + 1));
    texts.ids.insert(texts.ids.end(), text.begin(), text.end());
  }
  return texts;
}

TextSet source_texts(const Source& source, const Tokenizer& tokenizer, std::int64_t count,
                     std::int64_t T, std::uint64_t seed) {
  TextSet texts;
  texts.T = T;
  for (std::int64_t i = 0; i < count; ++i) {
    const Ids text = tokenizer.encode(source.generate(T, seed + static_cast<std::uint64_t>(i)));
    texts.ids.insert(texts.ids.end(), text.begin(), text.end());
  }
  return texts;
}

// Texts that a strategy writes with the source's own conditionals.
TextSet oracle_texts(const Source& source, const Tokenizer& tokenizer, std::int64_t count,
                     std::int64_t T, const std::string& strategy, std::int64_t steps) {
  Oracle oracle(source, tokenizer, T, false);
  SampleOptions options;
  options.strategy = strategy;
  options.steps = steps;
  const Ids masks(static_cast<std::size_t>(count * T), Tokenizer::kMask);
  return {sample_llada(oracle, masks, T, tokenizer.excluded(), options).ids, T};
}

TEST_CASE("A judge that is the chain gives the chain's own likelihood", "[sample_quality][cpu]") {
  const MarkovChain chain = uneven_letters();
  const TextSet texts = chain_texts(chain, 5, 7);
  MarkovPredictor predictor(chain, 7, true);
  double sum = 0, squares = 0;
  for (std::int64_t i = 0; i < 5; ++i) sum += chain.nats(texts.text(i));
  for (std::int64_t i = 0; i < 5; ++i) {
    squares += std::pow(chain.nats(texts.text(i)) - sum / 5, 2);
  }
  const Judgement judged = judge_by_model(texts, {&predictor, true}, chain.excluded());
  CHECK(judged.nats == Approx(sum / 35).epsilon(1e-12));
  const double half = 2.7764 * std::sqrt(squares / 4 / 5) / 7;  // t of 4 degrees
  CHECK(judged.ci95.hi - judged.nats == Approx(half).epsilon(1e-3));
  CHECK(judged.nats - judged.ci95.lo == Approx(half).epsilon(1e-3));

  // Without [START] the first token of a text is context.
  for (std::int64_t i = 0; i < 5; ++i) sum -= chain.nats(texts.text(i).first(1));
  CHECK(judge_by_model(texts, {&predictor, false}, chain.excluded()).nats ==
        Approx(sum / 30).epsilon(1e-12));

  const Judgement one = judge_by_model(chain_texts(chain, 1, 7), {&predictor}, chain.excluded());
  CHECK(std::isfinite(one.nats));
  CHECK(std::isnan(one.ci95.lo));
}

TEST_CASE("The n-gram judge takes each text for itself", "[sample_quality][cpu]") {
  const MarkovChain chain = uneven_letters();
  const KneserNey kn(chain.generate(500, 9), 3, chain.excluded());
  const TextSet texts = chain_texts(chain, 2, 6);
  CHECK(judge_by_ngrams(texts, kn).nats ==
        Approx((kn.text_nats(texts.text(0)) + kn.text_nats(texts.text(1))) / 12).epsilon(1e-12));
}

TEST_CASE("The source judges what it can write, and counts the rest", "[sample_quality][cpu]") {
  const Source source;
  const Tokenizer tokenizer = source.tokenizer();
  TextSet texts = source_texts(source, tokenizer, 3, 20, 1);
  double sum = 0;
  for (std::int64_t i = 0; i < 3; ++i) {
    sum += source.window_nats(tokenizer.decode(texts.text(i)));
  }
  for (int k = 0; k < 20; ++k) texts.ids.push_back(Tokenizer::kSpecials);  // 20 line breaks
  const SourceJudgement judged = judge_by_source(texts, source, tokenizer);
  CHECK(judged.grammatical == Approx(0.75));
  CHECK(judged.nats.nats == Approx(sum / 60).epsilon(1e-12));

  texts.ids.erase(texts.ids.begin(), texts.ids.begin() + 60);
  CHECK(judge_by_source(texts, source, tokenizer).grammatical == 0);
  CHECK(std::isnan(judge_by_source(texts, source, tokenizer).nats.nats));
}

TEST_CASE("With the oracle, what is wrong with texts is the sampler's doing",
          "[sample_quality][cpu]") {
  const Source source;
  const Tokenizer tokenizer = source.tokenizer();
  constexpr std::int64_t kTexts = 48, kLength = 16;
  const double truth =
      judge_by_source(source_texts(source, tokenizer, 1000, kLength, 100), source, tokenizer)
          .nats.nats;
  const auto judged = [&](const std::string& strategy, std::int64_t steps) {
    return judge_by_source(oracle_texts(source, tokenizer, kTexts, kLength, strategy, steps),
                           source, tokenizer);
  };
  // So many steps that two tokens of a text seldom share one: exact in law.
  const SourceJudgement exact = judged("ancestral", 4096);
  CHECK(exact.grammatical == 1);
  CHECK(exact.nats.ci95.lo < truth);
  CHECK(exact.nats.ci95.hi > truth);
  CHECK(exact.nats.ci95.hi - exact.nats.ci95.lo < 0.2 * truth);
  // All at once each token is right for itself, and the text never is.
  CHECK(judged("ancestral", 1).grammatical == 0);
  // One token a step, but the most confident: grammatical, and too probable.
  const SourceJudgement confident = judged("low_confidence", kLength);
  CHECK(confident.grammatical == 1);
  CHECK(confident.nats.ci95.hi < exact.nats.nats);
}

TEST_CASE("All measures come together, and what is not asked is unknown", "[sample_quality][cpu]") {
  const Source source;
  const Tokenizer tokenizer = source.tokenizer();
  const Ids train = tokenizer.encode(source.generate(2000, 1));
  const TextSet texts = source_texts(source, tokenizer, 4, 32, 10);
  const TextSet test = source_texts(source, tokenizer, 4, 32, 20);
  const auto excluded = tokenizer.excluded();
  const Lexicon lexicon(train, tokenizer);
  const KneserNey kn(train, 4, excluded);
  Oracle oracle(source, tokenizer, 32, true);
  QualityReferences references;
  references.train = train;
  references.lexicon = &lexicon;
  references.test = &test;
  references.kn = &kn;
  references.judge = {&oracle, true};
  references.source = &source;
  references.tokenizer = &tokenizer;
  references.excluded = excluded;
  const SampleQuality quality = measure_quality(texts, references);
  CHECK(quality.judge_ar.nats == Approx(quality.judge_source.nats).epsilon(1e-9));
  CHECK(quality.judge_kn.nats == judge_by_ngrams(texts, kn).nats);
  CHECK(quality.grammatical == 1);
  CHECK(quality.entropy == token_entropy(texts));
  CHECK(quality.distinct[2] == distinct_ngrams(texts, 3));
  CHECK(quality.divergence[1] == ngram_divergence(texts, test, 2));
  CHECK(quality.self_bleu == self_bleu(texts));
  CHECK(quality.real_words == lexicon.real_words(texts));
  CHECK(quality.repetition == repetition(texts, 8));
  CHECK(quality.novelty > 0);
  CHECK(quality.longest_copy >= 8);

  // Pieces of train are copies from end to end.
  const SampleQuality copied = measure_quality(spread_texts(train, 4, 32, "train"), references);
  CHECK(copied.novelty == 0);
  CHECK(copied.longest_copy == 32);

  const SampleQuality alone = measure_quality(texts, {});
  for (const double value :
       {alone.judge_ar.nats, alone.judge_kn.nats, alone.judge_source.nats, alone.grammatical,
        alone.real_words, alone.divergence[0], alone.novelty, alone.longest_copy}) {
    CHECK(std::isnan(value));
  }
  CHECK(alone.entropy == quality.entropy);
  CHECK(std::isnan(measure_quality({}, references).entropy));
  // Shorter than a 16-gram.
  QualityReferences copies;
  copies.train = train;
  const SampleQuality brief = measure_quality(source_texts(source, tokenizer, 4, 8, 10), copies);
  CHECK(std::isnan(brief.novelty));
  CHECK(brief.longest_copy > 0);
  CHECK(brief.repetition == 0);
}

}  // namespace
}  // namespace masque::test
