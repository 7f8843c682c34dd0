// The data-constrained study: what epochs over little text bring each model.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "apps/report/format.h"
#include "apps/report/sections.h"

namespace masque::report {
namespace {

std::string share_of_text(double fraction) {
  return fraction == 1 ? "all of the train split"
                       : fmt::format("{} of the train split", percent(fraction, 0));
}

std::string epochs_text(double epochs) {
  return fmt::format("{:.3g} {}", epochs, epochs == 1 ? "epoch" : "epochs");
}

std::string value(const Field& row) {
  return fmt::format("{}\u00a0{}", sign_of(row.bound()), nats(row.number("nats")));
}

// Rows of one fraction after another, in the order of results.json.
std::vector<std::pair<double, std::vector<Field>>> by_fraction(const Results& results) {
  std::vector<std::pair<double, std::vector<Field>>> groups;
  for (const Field& row : results.root().list("study")) {
    const double fraction = row.number("data_fraction");
    if (groups.empty() || groups.back().first != fraction) groups.push_back({fraction, {}});
    groups.back().second.push_back(row);
  }
  return groups;
}

// LLaDA and plain AR in their colours, other groups in the order met.
std::string style_of(const std::string& group, std::map<std::string, std::string>& styles) {
  if (group == "LLaDA") return "llada";
  if (group == "AR") return "ar";
  const auto fresh = fmt::format("s{}", styles.size() + 1);
  return styles.emplace(group, fresh).first->second;
}

Chart chart_of(const std::string& trained_on, const std::vector<Field>& rows,
               std::map<std::string, std::string>& styles) {
  Chart chart;
  chart.x_label = "epochs";
  chart.y_label = fmt::format("nats a token, test; trained on {}", trained_on);
  chart.log_x = true;
  for (const Field& row : rows) {
    const std::string group = row.text("group");
    auto found = std::find_if(chart.series.begin(), chart.series.end(),
                              [&](const Series& series) { return series.name == group; });
    if (found == chart.series.end()) {
      chart.series.push_back({group, style_of(group, styles), {}, Stroke::solid, true});
      found = std::prev(chart.series.end());
    }
    found->points.push_back({row.number("epochs"), row.number("nats"), row.interval("across_seeds"),
                             fmt::format("{}, {}: {}, {}", group, epochs_text(row.number("epochs")),
                                         value(row), row.text("setting"))});
  }
  return chart;
}

Figure study_figure(const Results& results) {
  Figure figure;
  figure.name = "study";
  std::map<std::string, std::string> styles;
  std::vector<Plot> plots;
  for (const auto& group : by_fraction(results)) {
    const std::string title = share_of_text(group.first);
    plots.push_back({fmt::format("study-{}", plots.size() + 1), fmt::format("Trained on {}", title),
                     fmt::format("{} of {}", plural(group.second.size(), "point"), title),
                     chart_of(title, group.second, styles)});
  }
  if (plots.size() == 2) {
    figure.views = {{"", plots}};
  } else {
    for (const Plot& plot : plots) figure.views.push_back({plot.title, {plot}});
  }
  figure.caption = fmt::format(
      "Each point is a training of its own with its own schedule; the checkpoint that is best on "
      "val. LLaDA's is its bound (≤), AR's exact (=). Of a group's settings, the best on val. "
      "Whiskers, where there are several seeds: 95% t interval. {}; {}.",
      results.provenance(), results.windows());
  return figure;
}

Table study_table(const Results& results) {
  Table table;
  table.columns = {{"trained on", true},
                   {"epochs"},
                   {"model", true},
                   {"setting", true},
                   {"tried"},
                   {"steps"},
                   {"nats, test"},
                   {"across seeds"},
                   {"other text"},
                   {"val"},
                   {"val at the end"}};
  for (const auto& group : by_fraction(results)) {
    for (const Field& row : group.second) {
      table.rows.push_back(
          {{share_of_text(group.first), fixed(row.number("epochs"), 0), row.text("group"),
            row.text("setting"), fixed(row.number("settings"), 0), count(row.number("steps")),
            value(row), between(row.interval("across_seeds")), between(row.interval("ci95_text")),
            nats(row.number("best_val")), nats(row.number("last_val"))},
           row.model("model")});
    }
  }
  table.caption = fmt::format(
      "Test is at the checkpoint that is best on val; val at the end above val is overfitting. "
      "NELBO from {} draws a window. {}; {}.",
      fixed(results.root()["protocol"].number("draws"), 0), results.provenance(),
      results.windows());
  return table;
}

std::vector<std::string> crossing_sentences(const Results& results) {
  std::vector<std::string> sentences;
  for (const Field& crossing : results.root().list("crossings")) {
    const Field last = crossing["last"];
    const std::string where = fmt::format("{}, {}", share_of_text(crossing.number("data_fraction")),
                                          crossing.text("group"));
    sentences.push_back(
        crossing.has("epochs")
            ? fmt::format("{}: from {} on, LLaDA's bound lies below.", where,
                          epochs_text(crossing.number("epochs")))
            : fmt::format("{}: the curves do not cross; after {} LLaDA's bound less AR is {}.",
                          where, epochs_text(last.number("epochs")),
                          difference(last.number("difference"))));
  }
  return sentences;
}

// "Its curve lies below AR from 31.2 epochs on; it does not cross AR regularised up to 64 epochs."
std::string crossings_in_words(const Results& results, double fraction) {
  std::string words;
  for (const Field& crossing : results.root().list("crossings")) {
    if (crossing.number("data_fraction") != fraction) continue;
    const std::string group = crossing.text("group");
    words += words.empty() ? "Its curve " : "; it ";
    words += crossing.has("epochs") ? fmt::format("lies below {} from {} on", group,
                                                  epochs_text(crossing.number("epochs")))
                                    : fmt::format("does not cross {} up to {}", group,
                                                  epochs_text(crossing["last"].number("epochs")));
  }
  return words.empty() ? words : words + ".";
}

// The row that is best on val.
const Field* best_on_val(const std::vector<Field>& rows, const std::string& model) {
  const Field* best = nullptr;
  for (const Field& row : rows) {
    if (row.model("model") != model || !row.has("best_val")) continue;
    if (best == nullptr || row.number("best_val") < best->number("best_val")) best = &row;
  }
  return best;
}

}  // namespace

bool is_study(const Results& results) {
  const bool any =
      !results.root().list("study").empty() || !results.root().list("crossings").empty();
  for (const Field& run : results.root().list("runs")) {
    if (run.text("role") == "study") return true;
  }
  return any;
}

std::vector<std::string> study_answer(const Results& results) {
  std::vector<std::string> paragraphs;
  for (const auto& group : by_fraction(results)) {
    const Field* ar = best_on_val(group.second, "ar");
    const Field* llada = best_on_val(group.second, "llada");
    if (ar == nullptr || llada == nullptr) continue;
    const double gap = llada->number("nats") - ar->number("nats");
    paragraphs.push_back(fmt::format(
        "With {} and as many epochs as are best on val, AR costs {} nats a token ({}, {}), and "
        "LLaDA {} ({}). LLaDA's number is an upper bound: its difference to AR is at most {}. {}",
        share_of_text(group.first), value(*ar), ar->text("group"),
        epochs_text(ar->number("epochs")), value(*llada), epochs_text(llada->number("epochs")),
        difference(gap), crossings_in_words(results, group.first)));
  }
  if (paragraphs.empty()) {
    return {"Too few of the study's trainings are done, so there is no answer yet."};
  }
  if (results.seeds().size() < 2) {
    paragraphs.emplace_back(
        "One seed: how far another training would move these numbers is not known.");
  }
  return paragraphs;
}

Section study_section(const Results& results) {
  Section section{"study", "Epochs over little text", {}};
  section.blocks.push_back(Paragraph{
      "Does masked diffusion make more of little text, read many times, than AR? Published "
      "comparisons differ in what AR was given against overfitting, so AR stands here plain, with "
      "dropout and weight decay swept, and with part of its inputs masked, which is LLaDA's noise "
      "without its objective. AR has more settings to choose from than LLaDA: the column \"tried\" "
      "counts them."});
  if (results.root().list("study").empty()) {
    section.blocks.push_back(Paragraph{"No cell of the grid is complete yet."});
    return section;
  }
  section.blocks.push_back(study_figure(results));
  section.blocks.push_back(List{crossing_sentences(results)});
  section.blocks.push_back(study_table(results));
  return section;
}

}  // namespace masque::report
