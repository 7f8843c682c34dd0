#include "apps/quality_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/common.h"
#include "models/utf8.h"

namespace masque {
namespace {

constexpr const char* kNothing = "-";

constexpr std::size_t kLine = 120;  // characters

std::size_t width_of(const std::string& text) {
  return decode_utf8(text).size();
}

// A column of the table: two lines of heading, and its cell of a row.
struct Column {
  std::string above, heading;
  std::vector<std::string> cells;

  std::size_t width() const {
    std::size_t width = std::max(width_of(above), width_of(heading));
    for (const std::string& cell : cells) width = std::max(width, width_of(cell));
    return width;
  }
};

std::string fixed(double value, int digits) {
  return std::isfinite(value) ? fmt::format("{:.{}f}", value, digits) : kNothing;
}

std::string percent(double share) {
  return std::isfinite(share) ? fmt::format("{:.1f}%", 100 * share) : kNothing;
}

// A mean and half its interval.
std::string judged(const Judgement& judgement) {
  if (!std::isfinite(judgement.nats)) return kNothing;
  if (!std::isfinite(judgement.ci95.hi)) return fixed(judgement.nats, 3);
  return fmt::format("{:.3f} ±{:.3f}", judgement.nats, judgement.ci95.hi - judgement.nats);
}

std::string padded(const std::string& text, std::size_t width, bool left) {
  const std::string space(width - std::min(width, width_of(text)), ' ');
  return left ? fmt::format("{}{}", text, space) : fmt::format("{}{}", space, text);
}

void append(const Column& column, bool left, std::vector<std::string>& lines) {
  const std::string gap = lines[0].empty() ? "" : "  ";
  const std::size_t width = column.width();
  lines[0] += gap + padded(column.above, width, left);
  lines[1] += gap + padded(column.heading, width, left);
  for (std::size_t i = 0; i < column.cells.size(); ++i) {
    lines[i + 2] += gap + padded(column.cells[i], width, left);
  }
}

// As many columns as fit a line to the right of `names`, which begin each block; the others in
// blocks below. Columns without a value are left out.
void print_columns(std::vector<Column> names, std::vector<Column> columns) {
  for (std::vector<Column>* list : {&names, &columns}) {
    std::erase_if(*list, [](const Column& column) {
      return std::all_of(column.cells.begin(), column.cells.end(),
                         [](const std::string& cell) { return cell == kNothing; });
    });
  }
  for (std::size_t next = 0; next < columns.size();) {
    std::vector<std::string> lines(names.front().cells.size() + 2);
    for (const Column& column : names) append(column, true, lines);
    do {
      append(columns[next], false, lines);
      ++next;
    } while (next < columns.size() && width_of(lines[0]) + columns[next].width() + 2 <= kLine);
    for (std::string& line : lines) {
      line.erase(line.find_last_not_of(' ') + 1);
      fmt::print("{}\n", line);
    }
    fmt::print("\n");
  }
}

}  // namespace

std::string label(const QualityRow& row) {
  std::string text = row.name;
  if (row.strategy) text += fmt::format(" {}", *row.strategy);
  if (row.steps) text += fmt::format(", {} steps", *row.steps);
  return text;
}

void print_quality(const std::vector<QualityRow>& rows, const std::string& judge) {
  std::vector<Column> names, columns;
  const auto column = [&](const std::string& above, const std::string& heading, const auto& cell) {
    Column made{above, heading, {}};
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
    return value ? fixed(static_cast<double>(*value), digits) : std::string(kNothing);
  };
  tell("", "texts of", [](const QualityRow& row) { return row.name; });
  tell("", "strategy", [](const QualityRow& row) { return row.strategy.value_or(kNothing); });
  tell("", "steps", [&](const QualityRow& row) { return count(row.steps, 0); });
  tell("temper-", "ature", [](const QualityRow& row) {
    return row.temperature.value_or(1) == 1 ? kNothing : fmt::format("{}", *row.temperature);
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
  print_columns(std::move(names), std::move(columns));

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
