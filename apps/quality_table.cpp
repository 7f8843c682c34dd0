#include "apps/quality_table.h"

#include <fmt/format.h>

#include <cmath>

#include "apps/table.h"

namespace masque {
namespace {

std::string fixed(double value, int digits) {
  return std::isfinite(value) ? fmt::format("{:.{}f}", value, digits) : kNoCell;
}

std::string percent(double share) {
  return std::isfinite(share) ? fmt::format("{:.1f}%", 100 * share) : kNoCell;
}

// A mean and half its interval.
std::string judged(const Judgement& judgement) {
  if (!std::isfinite(judgement.nats)) return kNoCell;
  if (!std::isfinite(judgement.ci95.hi)) return fixed(judgement.nats, 3);
  return fmt::format("{:.3f} ±{:.3f}", judgement.nats, judgement.ci95.hi - judgement.nats);
}

}  // namespace

std::string label(const QualityRow& row) {
  std::string text = row.name;
  if (row.strategy) text += fmt::format(" {}", *row.strategy);
  if (row.steps) text += fmt::format(", {} steps", *row.steps);
  return text;
}

void print_quality(const std::vector<QualityRow>& rows, const std::string& judge) {
  std::vector<TableColumn> names, columns;
  const auto column = [&](const std::string& above, const std::string& heading, const auto& cell) {
    TableColumn made{above, heading, {}};
    for (const QualityRow& row : rows) made.cells.push_back(cell(row));
    return made;
  };
  const auto tell = [&](const char* above, const char* heading, const auto& cell) {
    names.push_back(column(above, heading, cell));
  };
  const auto add = [&](const char* above, const char* heading, const auto& cell) {
    columns.push_back(column(above, heading, cell));
  };
  const auto count = [](const auto& value, int digits) {
    return value ? fixed(static_cast<double>(*value), digits) : std::string(kNoCell);
  };
  tell("", "texts of", [](const QualityRow& row) { return row.name; });
  tell("", "strategy", [](const QualityRow& row) { return row.strategy.value_or(kNoCell); });
  tell("", "steps", [&](const QualityRow& row) { return count(row.steps, 0); });
  tell("temper-", "ature", [](const QualityRow& row) {
    return row.temperature.value_or(1) == 1 ? kNoCell : fmt::format("{}", *row.temperature);
  });
  add("AR judge", "nats", [](const QualityRow& row) { return judged(row.quality.judge_ar); });
  add("n-gram judge", "nats", [](const QualityRow& row) { return judged(row.quality.judge_kn); });
  add("source", "nats", [](const QualityRow& row) { return judged(row.quality.judge_source); });
  add("gramma-", "tical", [](const QualityRow& row) { return percent(row.quality.grammatical); });
  add("real", "words", [](const QualityRow& row) { return percent(row.quality.real_words); });
  add("divergence", "3-grams",
      [](const QualityRow& row) { return fixed(row.quality.divergence[2], 4); });
  add("entropy", "nats", [](const QualityRow& row) { return fixed(row.quality.entropy, 3); });
  add("distinct", "4-grams",
      [](const QualityRow& row) { return percent(row.quality.distinct[3]); });
  add("self-", "BLEU", [](const QualityRow& row) { return fixed(row.quality.self_bleu, 3); });
  add("repeated", "8-grams", [](const QualityRow& row) { return percent(row.quality.repetition); });
  add("novel", "16-grams", [](const QualityRow& row) { return percent(row.quality.novelty); });
  add("longest", "copy", [](const QualityRow& row) { return fixed(row.quality.longest_copy, 1); });
  add("tokens", "a second", [&](const QualityRow& row) { return count(row.tokens_per_second, 0); });
  add("forwards", "a text", [&](const QualityRow& row) { return count(row.forwards, 0); });
  add("tokens", "a forward",
      [&](const QualityRow& row) { return count(row.tokens_per_forward, 2); });
  print_table(std::move(names), std::move(columns));

  const TextSet& texts = rows.front().texts;
  fmt::print(
      "{} texts of {} tokens a row. Real text is the mark to reach, not to beat: nats below it "
      "come "
      "with less entropy,\nfewer distinct n-grams, repetition or copying. ± is 95% over texts. "
      "Divergence counts from what val and train have.\n",
      texts.count(), texts.T);
  fmt::print("Judges: {}; Kneser-Ney {}-grams of val, which lies next to test in the text.\n",
             judge.empty() ? "no AR model (--judge gives one)" : judge,
             +KneserNey::kOrderForCharacters);
}

}  // namespace masque
