// Sample quality: judges, diversity, and the front of quality against steps and speed.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/report/format.h"
#include "apps/report/sections.h"

namespace masque::report {
namespace {

constexpr const char* kOrders[] = {"1", "2", "3", "4"};

std::string kind_of(const Field& field) {
  return field.word("kind", {"real", "llada", "ar"});
}

std::string texts_of(const Field& field) {
  return fmt::format("{} × {}", count(field.number("count")), count(field.number("length")));
}

Table judge_table(const std::vector<Field>& sets, const std::string& source) {
  Table table;
  table.columns = {{"texts", true},  {"strategy", true},   {"steps"},
                   {"temperature"},  {"number × length"},  {"AR judge"},
                   {"n-gram judge"}, {"entropy"},          {"real words"},
                   {"forwards"},     {"tokens a forward"}, {"tokens a second"}};
  for (const Field& field : sets) {
    const std::string strategy = field.text("strategy");
    table.rows.push_back(
        {{field.text("name"), strategy.empty() ? "–" : strategy, count(field.number("steps")),
          fixed(field.number("temperature"), 2), texts_of(field), nats(field.number("judge_ar")),
          nats(field.number("judge_kn")), fixed(field.number("entropy"), 3),
          percent(field.number("real_words")), fixed(field.number("forwards"), 1),
          fixed(field.number("tokens_per_forward"), 2), count(field.number("tokens_per_second"))},
         kind_of(field)});
  }
  table.caption = fmt::format(
      "Judges in nats a token: an AR of another seed, and a Kneser–Ney n-gram fitted on val, "
      "neither of them compared here. The value of real text is the one to reach, not to beat: "
      "below it is blander, not better; read it with the entropy (of tokens, nats). One value a "
      "set of texts, no interval. {}",
      source);
  return table;
}

Table diversity_table(const std::vector<Field>& sets, const std::string& source) {
  Table table;
  table.columns = {{"texts", true}};
  for (const char* order : kOrders) table.columns.push_back({fmt::format("distinct-{}", order)});
  for (const char* order : kOrders) table.columns.push_back({fmt::format("JS-{}", order)});
  for (const char* name : {"self-BLEU", "novelty", "longest copy", "repetition"}) {
    table.columns.push_back({name});
  }
  for (const Field& field : sets) {
    Row row{{field.text("name")}, kind_of(field)};
    for (const char* order : kOrders) {
      row.cells.push_back(percent(field["distinct"].number(order)));
    }
    for (const char* order : kOrders) {
      row.cells.push_back(fixed(field["divergence"].number(order), 3));
    }
    row.cells.push_back(fixed(field.number("self_bleu"), 3));
    row.cells.push_back(percent(field.number("novelty")));
    row.cells.push_back(fixed(field.number("longest_copy"), 1));
    row.cells.push_back(percent(field.number("repetition")));
    table.rows.push_back(std::move(row));
  }
  table.caption = fmt::format(
      "Distinct-n: share of different n-grams. JS-n: Jensen–Shannon divergence of n-grams to the "
      "test text, nats; the row of real text is its floor. Novelty: share of 16-grams that train "
      "lacks. Longest copy: tokens found in train, mean. Repetition: share of 8-grams seen "
      "before in the same text. One value a set of texts, no interval. {}",
      source);
  return table;
}

struct Measure {
  const char *key, *label, *name;
};
constexpr Measure kMeasures[] = {{"tokens_per_forward", "tokens a forward", "tokens"},
                                 {"forwards", "forwards a sequence", "forwards"},
                                 {"tokens_per_second", "tokens a second", "speed"}};

// One line a strategy and temperature; AR and real text are references.
Chart front(const std::vector<Field>& sets, const Measure& x, const char* y,
            const std::string& y_label) {
  Chart chart;
  chart.x_label = x.label;
  chart.y_label = y_label;
  chart.log_x = true;
  for (const Field& field : sets) {
    const double value = field.number(y);
    if (!std::isfinite(value)) continue;
    const std::string kind = kind_of(field);
    if (kind != "llada") {
      chart.references.push_back({field.text("name"), kind, value});
      continue;
    }
    std::string name = field.text("strategy");
    if (field.has("temperature") && field.number("temperature") != 1) {
      name += fmt::format(", T = {:g}", field.number("temperature"));
    }
    auto series = std::find_if(chart.series.begin(), chart.series.end(),
                               [&](const Series& entry) { return entry.name == name; });
    if (series == chart.series.end()) {
      const std::size_t number = chart.series.size();
      const std::string style = number == 0 ? "llada" : fmt::format("s{}", (number - 1) % 8 + 1);
      series = chart.series.insert(series, Series{name, style, {}, Stroke::solid, true});
    }
    series->points.push_back({field.number(x.key),
                              value,
                              {kNoNumber, kNoNumber},
                              fmt::format("{}: {}", field.text("name"), nats(value))});
  }
  for (Series& series : chart.series) {
    std::stable_sort(series.points.begin(), series.points.end(),
                     [](const Point& a, const Point& b) { return a.x < b.x; });
  }
  return chart;
}

Figure front_figure(const std::vector<Field>& sets, const std::string& source) {
  Figure figure;
  figure.name = "front";
  for (const Measure& measure : kMeasures) {
    figure.views.push_back({measure.label,
                            {Plot{fmt::format("front-{}", measure.name),
                                  fmt::format("The judge's value against {}", measure.label),
                                  "One line a strategy of LLaDA; AR and real text as dashed lines",
                                  front(sets, measure, "judge_ar", "AR judge, nats a token")},
                             Plot{fmt::format("entropy-{}", measure.name),
                                  fmt::format("Entropy of tokens against {}", measure.label),
                                  "One line a strategy of LLaDA; AR and real text as dashed lines",
                                  front(sets, measure, "entropy", "entropy of tokens, nats")}}});
  }
  figure.caption = fmt::format(
      "What speed costs: each line is a strategy of LLaDA at several numbers of steps; dashed, AR "
      "and real text. A lower judge with less entropy than real text is blandness. Speeds are of "
      "the machine below, AR with its cache. No interval. {}",
      source);
  return figure;
}

std::string range_of(const std::vector<Field>& sets, const std::string& kind) {
  double lo = INFINITY, hi = -INFINITY;
  for (const Field& field : sets) {
    const double value = field.number("judge_ar");
    if (kind_of(field) != kind || !std::isfinite(value)) continue;
    lo = std::min(lo, value);
    hi = std::max(hi, value);
  }
  if (!(lo <= hi)) return "not known";
  return lo == hi ? nats(lo) : fmt::format("{} to {}", nats(lo), nats(hi));
}

}  // namespace

Section quality_section(const Results& results) {
  Section section{"quality", "Sample quality", {}};
  const std::vector<Field> sets = results.root().list("quality");
  if (sets.empty()) {
    section.blocks.push_back(Paragraph{kNotPart});
    return section;
  }
  std::set<std::int64_t> seeds;
  bool any = false;
  for (const Field& field : sets) {
    if (field.has("run")) seeds.insert(results.run(field).seed);
    any = any || kind_of(field) == "llada";
  }
  const Field protocol = results.root()["protocol"];
  const std::string source =
      fmt::format("{}; judge of seed {}; {} split.", results.provenance(seeds),
                  fixed(protocol.number("judge_seed"), 0), results.split());
  section.blocks.push_back(Paragraph{
      fmt::format("The AR judge gives real text {} nats a token, AR's samples {}, LLaDA's {}, "
                  "depending on strategy and steps.",
                  range_of(sets, "real"), range_of(sets, "ar"), range_of(sets, "llada"))});
  if (any) section.blocks.push_back(front_figure(sets, source));
  section.blocks.push_back(judge_table(sets, source));
  section.blocks.push_back(diversity_table(sets, source));
  return section;
}

}  // namespace masque::report
