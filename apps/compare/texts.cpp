#include "apps/compare/texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "apps/compare/flops.h"
#include "apps/environment.h"
#include "apps/own_text.h"
#include "models/copied_spans.h"
#include "models/ngram.h"
#include "models/run.h"

namespace masque {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr std::int64_t kLeakageGram = 32;
constexpr std::int64_t kTrainPart = 4;  // windows of train scored: a quarter of those of test

// Share of a split's 32-grams that train has.
Json leakage(const Splits& splits) {
  const auto count = static_cast<std::int64_t>(splits.test.size());
  if (count < kLeakageGram) return nullptr;
  const std::vector<std::int64_t> spans = copied_spans(splits.test, count, splits.train);
  const auto copied = std::count_if(spans.begin(), spans.end(),
                                    [](std::int64_t span) { return span >= kLeakageGram; });
  return static_cast<double>(copied) / static_cast<double>(count - kLeakageGram + 1);
}

ScoredSplit score(const char* name, const std::vector<std::int32_t>& tokens, std::int64_t length,
                  std::int64_t windows, std::int64_t chain_windows) {
  ScoredSplit split;
  split.name = name;
  split.tokens = tokens;
  split.windows = subset(cover(static_cast<std::int64_t>(tokens.size()), length), windows);
  if (chain_windows > 0) split.chain_windows = subset(split.windows, chain_windows);
  return split;
}

RunConfig config_of_first(const Plan& plan) {
  const PlannedRun& first = plan.runs.front();
  return first.given ? load_config(RunFolder(first.folder)) : config_of(plan, first, {});
}

}  // namespace

CompareText::CompareText(std::string path, const std::string& kind, const std::string& text)
    : file(std::move(path)),
      tokenizer(Tokenizer::make(kind, text)),
      tokens(tokenizer.encode(text)) {}

CompareTexts::CompareTexts(const Plan& plan) : CompareTexts(plan, config_of_first(plan)) {}

CompareTexts::CompareTexts(const Plan& plan, const RunConfig& config)
    : text(plan.data, config.training.tokenizer,
           read_corpus(plan.data, config.training.tokenizer).text) {
  splits = split_tokens(text.tokens, config.training.train_fraction, config.training.val_fraction);
  const std::int64_t T = config.model.context;
  const EvaluationPlan& evaluation = plan.evaluation;
  val = score("val", splits.val, T, evaluation.windows, evaluation.chain_windows);
  test = score("test", splits.test, T, evaluation.windows, evaluation.chain_windows);
  const auto part =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(test.windows.size()) / kTrainPart);
  train = score("train", splits.train, T, part, 0);
}

Json setting_of(const Plan& plan, const CompareTexts& texts, const Device& device) {
  const Splits& splits = texts.splits;
  const auto& [train, val, test] = splits;
  const std::vector<std::uint8_t> excluded = texts.text.tokenizer.excluded();
  const ScoredSplit& scored = texts.test;
  const EvaluationPlan& evaluation = plan.evaluation;
  const Tokenizer& tokenizer = texts.text.tokenizer;
  return Json{{"environment", environment(device)},
              {"data",
               {{"file", fs::path(plan.data).filename().string()},
                {fmt::format("{}s", tokenizer.unit()), texts.text.size()},
                {"tokenizer", tokenizer.kind()},
                {"sha256", sha256_of_data(plan.data, tokenizer.kind())},
                {"vocab_size", tokenizer.vocab_size()},
                {"train", train.size()},
                {"val", val.size()},
                {"test", test.size()},
                {"leakage32", leakage(splits)}}},
              {"protocol",
               {{"preset", plan.preset},
                {"set", plan.set},
                {"split", scored.name},
                {"checkpoint", "best on val"},
                {"window", scored.windows.front().length},
                {"windows", scored.windows.size()},
                {"chain_windows", scored.chain_windows.size()},
                {"draws", evaluation.draws},
                {"mixture_orders", evaluation.mixture_orders},
                {"seeds", plan.seeds},
                {"judge_seed", plan.judge_seed},
                {"trials", plan.trials},
                {"texts", evaluation.texts},
                {"budget_seconds", plan.budget_seconds},
                {"flops", kFlopsConvention}}},
              {"baselines",
               {{"unigram", unigram_nats(train, test, scored.windows, excluded)},
                {"bigram", bigram_nats(train, test, scored.windows, excluded)}}}};
}

}  // namespace masque
