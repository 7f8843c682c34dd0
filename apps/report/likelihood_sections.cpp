// The headline, differences, and every likelihood.
#include <fmt/format.h>

#include <cmath>

#include "apps/report/format.h"
#include "apps/report/sections.h"

namespace masque::report {
namespace {

std::string bound_name(const std::string& bound) {
  if (bound == "upper") return "upper bound";
  if (bound == "mean") return "mean of exact";
  return "exact";
}

std::string signed_value(const std::string& bound, double number, int digits) {
  if (!std::isfinite(number)) return fixed(number, digits);
  return fmt::format("{} {}", sign_of(bound), fixed(number, digits));
}

std::string joined(const std::vector<double>& numbers) {
  std::string text;
  for (const double number : numbers) text += (text.empty() ? "" : ", ") + nats(number);
  return text.empty() ? "–" : text;
}

struct Baseline {
  std::string name;
  double nats;
};

std::vector<Baseline> baselines_of(const Results& results) {
  const Field baselines = results.root()["baselines"];
  std::vector<Baseline> known;
  for (const char* name : {"unigram", "bigram"}) {
    if (baselines.has(name)) known.push_back({name, baselines.number(name)});
  }
  return known;
}

Figure headline_figure(const Results& results) {
  Forest forest;
  forest.x_label = "nats a token";
  for (const HeadlineRow& row : results.headline()) {
    // Some are scored twice: on all windows, and on those of the chains.
    std::string name = row.score.name();
    if (row.windows != results.headline().front().windows) {
      name += fmt::format(", {} windows", count(static_cast<double>(row.windows)));
    }
    forest.rows.push_back({name, row.score.model, row.nats, row.across_seeds,
                           signed_value(row.bound, row.nats, 4), row.bound == "upper"});
  }
  for (const Baseline& baseline : baselines_of(results)) {
    forest.references.push_back({baseline.name, "real", baseline.nats});
  }
  std::string description = "One row a way of scoring: ";
  for (const ForestRow& row : forest.rows) {
    description += fmt::format("{} {}; ", row.label, row.text);
  }
  return {"headline",
          fmt::format("Nats a token, mean over seeds; whiskers are the 95% t interval across "
                      "seeds. Hollow marks are upper bounds. {}; {}.",
                      results.provenance(), results.windows()),
          {{"", {Plot{"headline", "Nats a token of each model", description, forest}}}}};
}

Table headline_table(const Results& results) {
  const Field protocol = results.root()["protocol"];
  Table table;
  table.caption = fmt::format(
      "Mean over seeds; intervals 95%. \"Other text\" is the block bootstrap over windows, of the "
      "first seed. NELBO from {} draws a window, checkpoint {}. Bits and perplexity are of the "
      "same "
      "number. {}; {}.",
      fixed(protocol.number("draws"), 0), protocol.text("checkpoint"), results.provenance(),
      results.windows());
  table.columns = {{"model", true},
                   {"estimator", true},
                   {"order", true},
                   {"bound", true},
                   {"nats"},
                   {"across seeds"},
                   {"bits/" + results.unit()},
                   {"perplexity"},
                   {"windows"},
                   {"other text"},
                   {"by seed"}};
  for (const Baseline& baseline : baselines_of(results)) {
    table.rows.push_back({{baseline.name, "counts of train", "–", bound_name("exact"),
                           signed_value("exact", baseline.nats, 4), "–",
                           signed_value("exact", baseline.nats / std::log(2.0), 4),
                           signed_value("exact", std::exp(baseline.nats), 3), "–", "–", "–"}});
  }
  for (const HeadlineRow& row : results.headline()) {
    table.rows.push_back(
        {{model_name(row.score.model), estimator_name(row.score.estimator),
          row.score.order.empty() ? "–" : order_name(row.score.order), bound_name(row.bound),
          signed_value(row.bound, row.nats, 4), between(row.across_seeds),
          signed_value(row.bound, row.bits, 4), signed_value(row.bound, row.perplexity, 3),
          count(static_cast<double>(row.windows)), between(row.ci95_text), joined(row.by_seed)},
         row.score.model});
  }
  return table;
}

std::string paired_text(const Difference& difference) {
  std::string text;
  for (const PairedInterval& paired : difference.paired) {
    text +=
        fmt::format("{}{}: {} ({})", text.empty() ? "" : ";\n", paired.seed,
                    masque::report::difference(paired.nats), between_differences(paired.interval));
  }
  return text.empty() ? "–" : text;
}

bool is_bound(const Results& results, const Difference& difference) {
  const HeadlineRow* row = results.row(difference.first);
  return row != nullptr && row->bound == "upper";
}

}  // namespace

Section headline_section(const Results& results) {
  Section section{"headline", "Likelihood", {}};
  if (results.headline().empty()) {
    section.blocks.push_back(Paragraph{kNotPart});
    return section;
  }
  section.blocks.push_back(headline_figure(results));
  section.blocks.push_back(headline_table(results));
  return section;
}

Section difference_section(const Results& results) {
  Section section{"differences", "Differences", {}};
  if (results.differences().empty()) {
    section.blocks.push_back(Paragraph{kNotPart});
    return section;
  }
  const std::string meaning =
      "The first less the second on the same windows, so above 0 the second is better. Across "
      "seeds: 95% t interval of the per-seed differences. By seed: 95% paired bootstrap over "
      "windows.";
  Forest forest;
  forest.x_label = "difference, nats a token";
  forest.references.push_back({"no difference", "real", 0});
  Table table;
  table.columns = {{"difference", true},      {"nats"},   {"across seeds"}, {"includes 0", true},
                   {"by seed, paired", true}, {"windows"}};
  std::string description;
  for (const Difference& difference : results.differences()) {
    const bool seeds = known(difference.across_seeds);
    const Interval interval = seeds                       ? difference.across_seeds
                              : difference.paired.empty() ? Interval{kNoNumber, kNoNumber}
                                                          : difference.paired[0].interval;
    const std::string text = masque::report::difference(difference.nats);
    forest.rows.push_back({difference.name, difference.first.model, difference.nats, interval, text,
                           is_bound(results, difference)});
    description += fmt::format("{} {}; ", difference.name, text);
    const std::string name = difference.note.empty()
                                 ? difference.name
                                 : fmt::format("{}. {}", difference.name, difference.note);
    table.rows.push_back(
        {{name, text, between_differences(difference.across_seeds),
          !known(interval)     ? "–"
          : has_zero(interval) ? "yes"
                               : "no",
          paired_text(difference), count(static_cast<double>(difference.windows))}});
  }
  const std::string source = fmt::format("{}; {}.", results.provenance(), results.windows());
  section.blocks.push_back(Figure{
      "differences",
      fmt::format(
          "Whiskers: 95% t interval across seeds; where there is one seed, paired bootstrap over "
          "windows. Hollow: of an upper bound, so at most. {}",
          source),
      {{"", {Plot{"differences", "Differences in nats a token", description, forest}}}}});
  table.caption = fmt::format("{} {}", meaning, source);
  section.blocks.push_back(table);
  return section;
}

Section estimate_section(const Results& results) {
  Section section{"estimates", "Every likelihood", {}};
  Table table;
  table.columns = {{"run", true},       {"seed"},     {"split", true},
                   {"estimator", true}, {"nats"},     {"estimator's error"},
                   {"other text"},      {"accuracy"}, {"windows"},
                   {"tokens"},          {"draws"},    {"seconds"},
                   {"config", true}};
  std::set<std::int64_t> seeds;
  for (const Field& field : results.root().list("estimates")) {
    const std::string bound = field.bound();
    seeds.insert(field.integer("seed"));
    table.rows.push_back(
        {{field.text("run"), fixed(field.number("seed"), 0), field.text("split"),
          row_name(field.model("model"), field.text("estimator"), field.text("order")),
          signed_value(bound, field.number("nats"), 4), between(field.interval("ci95")),
          between(field.interval("ci95_text")), percent(field.number("accuracy")),
          count(field.number("windows")), count(field.number("tokens")),
          count(field.number("draws")), fixed(field.number("seconds"), 1),
          field.text("config_hash")},
         field.model("model")});
  }
  if (table.rows.empty()) {
    section.blocks.push_back(Paragraph{kNotPart});
    return section;
  }
  table.caption = fmt::format(
      "One row a likelihood. \"Estimator's error\" is the 95% interval of the estimate on this "
      "very text (no width where exact); \"other text\" the block bootstrap over windows. Accuracy "
      "of LLaDA is of masked tokens and does not compare with AR's. {}; windows of {} tokens.",
      results.provenance(seeds), results.root()["protocol"].integer("window"));
  section.blocks.push_back(table);
  return section;
}

}  // namespace masque::report
