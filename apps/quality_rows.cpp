#include "apps/quality_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "apps/json.h"
#include "core/check.h"
#include "models/device_sampler.h"
#include "models/generate_text.h"

namespace masque {
namespace {

using Json = nlohmann::ordered_json;
using Ids = std::vector<std::int32_t>;

constexpr std::uint64_t kSeedStep = 0x9E3779B97F4A7C15u;  // between batches: none repeats another

template <class Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json();
}

Json by_order(const std::array<double, SampleQuality::kOrders>& values) {
  Json json = Json::object();
  for (std::size_t k = 0; k < values.size(); ++k) json[std::to_string(k + 1)] = number(values[k]);
  return json;
}

// [START], or a line break, which the caller cuts off again.
Ids first_ids(const Run& run) {
  const std::optional<std::int32_t> first = first_token(run.config.training, run.tokenizer);
  if (!first) {
    throw InputError(fmt::format(
        "{}: the run has no [START] and its text no line break to begin from: train with "
        "start_token=true",
        run.folder.path().string()));
  }
  return {*first};
}

// Forwards of all texts, each one's own.
double total_forwards(const SampleResult& result) {
  return static_cast<double>(std::accumulate(result.sequence_forwards.begin(),
                                             result.sequence_forwards.end(), std::int64_t{0}));
}

void check_judge(const Run& judge, const Tokenizer& tokenizer, std::int64_t length) {
  const std::string name = judge.folder.path().string();
  if (judge.config.model.objective != ObjectiveKind::ar) {
    throw InputError(
        fmt::format("the judge {} is a {} run, which has no exact likelihood: give an ar run", name,
                    name_of(judge.config.model.objective)));
  }
  if (!(judge.tokenizer == tokenizer)) {
    throw InputError(
        fmt::format("the judge {} has another tokenizer: give an ar run of the same text", name));
  }
  if (judge.config.model.context < length) {
    throw InputError(
        fmt::format("the judge {} reads {} tokens and the texts have {}: give --length {} or less",
                    name, judge.config.model.context, length, judge.config.model.context));
  }
}

}  // namespace

Json to_json(const QualityRow& row) {
  const SampleQuality& quality = row.quality;
  return {{"name", row.name},
          {"kind", row.kind},
          {"run", row.run.empty() ? Json() : Json(row.run)},
          {"strategy", or_null(row.strategy)},
          {"steps", or_null(row.steps)},
          {"temperature", or_null(row.temperature)},
          {"count", row.texts.count()},
          {"length", row.texts.T},
          {"judge_ar", number(quality.judge_ar.nats)},
          {"judge_ar_ci95", ends(quality.judge_ar.ci95)},
          {"judge_kn", number(quality.judge_kn.nats)},
          {"judge_kn_ci95", ends(quality.judge_kn.ci95)},
          {"judge_source", number(quality.judge_source.nats)},
          {"judge_source_ci95", ends(quality.judge_source.ci95)},
          {"grammatical", number(quality.grammatical)},
          {"entropy", number(quality.entropy)},
          {"distinct", by_order(quality.distinct)},
          {"self_bleu", number(quality.self_bleu)},
          {"real_words", number(quality.real_words)},
          {"divergence", by_order(quality.divergence)},
          {"novelty", number(quality.novelty)},
          {"longest_copy", number(quality.longest_copy)},
          {"repetition", number(quality.repetition)},
          {"tokens_per_second", or_null(row.tokens_per_second)},
          {"forwards", or_null(row.forwards)},
          {"tokens_per_forward", or_null(row.tokens_per_forward)}};
}

QualityMeasure::QualityMeasure(const Tokenizer& tokenizer, const Splits& splits, Options options)
    : tokenizer_(tokenizer),
      options_(std::move(options)),
      excluded_(tokenizer.excluded()),
      lexicon_(splits.train, tokenizer),
      kn_(splits.val, KneserNey::kOrderForCharacters, excluded_),
      test_(spread_texts(splits.test, options_.count, options_.length, "the test split")),
      val_(spread_texts(splits.val, options_.count, options_.length, "the val split")),
      train_(spread_texts(splits.train, options_.count, options_.length, "the train split")) {
  references_.train = splits.train;
  references_.lexicon = &lexicon_;
  references_.test = &test_;
  references_.kn = &kn_;
  references_.source = options_.source;
  references_.tokenizer = &tokenizer_;
  references_.excluded = excluded_;
  if (options_.judge != nullptr) {
    check_judge(*options_.judge, tokenizer, options_.length);
    references_.judge = {options_.judge->network.get(),
                         options_.judge->config.training.start_token};
  }
  if (options_.source != nullptr &&
      judge_by_source(test_, *options_.source, tokenizer).grammatical < 1) {
    throw InputError(
        "the synthetic source cannot have written this text: leave the source out, or give a text "
        "that masque data synth wrote");
  }
}

std::vector<QualityRow> QualityMeasure::real_rows() const {
  const auto make = [](const char* name, const TextSet& texts, const QualityReferences& against) {
    QualityRow row;
    row.kind = "real";
    row.name = name;
    row.texts = texts;
    row.quality = measure_quality(texts, against);
    return row;
  };
  QualityReferences of_test = references_, of_val = references_, of_train = references_;
  of_test.test = nullptr;
  of_val.kn = nullptr;
  of_train.judge = {};
  of_train.lexicon = nullptr;
  of_train.train = {};
  return {make("test text", test_, of_test), make("val text", val_, of_val),
          make("train text", train_, of_train)};
}

void QualityMeasure::fill(QualityRow& row, std::uint64_t seed, const Generate& generate) const {
  row.texts.T = options_.length;
  double seconds = 0, forwards = 0;
  for (std::int64_t done = 0; done < options_.count; done += kBatch, seed += kSeedStep) {
    const std::int64_t n = std::min(kBatch, options_.count - done);
    const SampleResult result = generate(n, seed);
    row.texts.ids.insert(row.texts.ids.end(), result.ids.begin(), result.ids.end());
    seconds += result.seconds;
    forwards += total_forwards(result);
    if (options_.progress) options_.progress(n);
  }
  const auto count = static_cast<double>(options_.count);
  const auto length = static_cast<double>(options_.length);
  row.tokens_per_second = count * length / seconds;
  row.forwards = forwards / count;
  row.tokens_per_forward = length / *row.forwards;
  row.quality = measure_quality(row.texts, references_);
}

Ids QualityMeasure::masks(std::int64_t n) const {
  return Ids(static_cast<std::size_t>(n * options_.length), Tokenizer::kMask);
}

QualityRow QualityMeasure::row(Run& run, const SampleOptions& options) const {
  QualityRow row;
  row.run = run.folder.path().string();
  row.name = std::filesystem::canonical(run.folder.path()).filename().string();
  row.kind = name_of(run.config.model.objective);
  row.temperature = options.draw.temperature;
  if (run.config.model.objective == ObjectiveKind::llada) {
    row.strategy = options.strategy;
    row.steps = options.steps > 0 ? options.steps : options_.length;
    fill(row, options.draw.seed, [&](std::int64_t n, std::uint64_t seed) {
      SampleOptions seeded = options;
      seeded.draw.seed = seed;
      return generate_llada(*run.network, masks(n), options_.length, excluded_, seeded);
    });
    return row;
  }
  row.steps = options_.length;
  fill(row, options.draw.seed, [&](std::int64_t n, std::uint64_t seed) {
    DrawOptions draw = options.draw;
    draw.seed = seed;
    const Ids prompt = first_ids(run);
    SampleResult result = generate_ar(*run.network, n, prompt, options_.length, excluded_, draw);
    Ids texts;
    const auto T = static_cast<std::size_t>(options_.length) + prompt.size();
    for (std::size_t begin = 0; begin < result.ids.size(); begin += T) {
      const auto text = result.ids.begin() + static_cast<std::ptrdiff_t>(begin);
      texts.insert(texts.end(), text + static_cast<std::ptrdiff_t>(prompt.size()),
                   text + static_cast<std::ptrdiff_t>(T));
    }
    result.ids = std::move(texts);
    return result;
  });
  return row;
}

QualityRow QualityMeasure::oracle_row(const SampleOptions& options) const {
  CHECK(options_.source != nullptr, "oracle_row: there is no source");
  QualityRow row;
  row.name = row.kind = "oracle";
  row.strategy = options.strategy;
  row.steps = options.steps > 0 ? options.steps : options_.length;
  row.temperature = options.draw.temperature;
  Oracle oracle(*options_.source, tokenizer_, options_.length, false);
  fill(row, options.draw.seed, [&](std::int64_t n, std::uint64_t seed) {
    SampleOptions seeded = options;
    seeded.draw.seed = seed;
    return sample_llada(oracle, masks(n), options_.length, excluded_, seeded);
  });
  return row;
}

}  // namespace masque
