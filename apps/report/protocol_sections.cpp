// Ablations, and all that is needed to do it again.
#include <fmt/format.h>

#include <algorithm>

#include "apps/common.h"
#include "apps/report/format.h"
#include "apps/report/sections.h"

namespace masque::report {
namespace {

std::string join(const std::vector<std::string>& words) {
  return words.empty() ? "–" : fmt::format("{}", fmt::join(words, ", "));
}

std::string plain(const nlohmann::json& value) {
  if (value.is_null()) return "–";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array()) {
    std::vector<std::string> words;
    for (const nlohmann::json& entry : value) words.push_back(plain(entry));
    return join(words);
  }
  if (value.is_number_float()) return fmt::format("{:g}", value.get<double>());
  return value.dump();
}

// Keys of nested objects with dots between, in order.
void flatten(const nlohmann::json& value, const std::string& path,
             std::vector<std::pair<std::string, std::string>>& rows) {
  if (!value.is_object()) {
    rows.emplace_back(path, plain(value));
    return;
  }
  for (const auto& entry : value.items()) {
    flatten(entry.value(), path.empty() ? entry.key() : fmt::format("{}.{}", path, entry.key()),
            rows);
  }
}

Table settings_table(const Field& field, const std::string& caption) {
  std::vector<std::pair<std::string, std::string>> rows;
  flatten(field.json(), "", rows);
  Table table{caption, {{"key", true}, {"value", true}}, {}};
  for (const auto& row : rows) table.rows.push_back({{row.first, row.second}});
  return table;
}

// A row a key, a column a model.
Table config_table(const Results& results) {
  Table table{"", {{"key", true}}, {}};
  const std::vector<Field> models = results.root().list("models");
  for (std::size_t k = 0; k < models.size(); ++k) {
    table.columns.push_back({model_name(models[k].model("name")), true});
    std::vector<std::pair<std::string, std::string>> rows = {
        {"parameters", count(models[k].number("parameters"))},
        {"config hash", models[k].text("config_hash")}};
    flatten(models[k]["config"].json(), "", rows);
    for (const auto& row : rows) {
      auto found = std::find_if(table.rows.begin(), table.rows.end(),
                                [&](const Row& entry) { return entry.cells[0] == row.first; });
      if (found == table.rows.end()) {
        found = table.rows.insert(found, Row{{row.first}});
        found->cells.resize(models.size() + 1, "–");
      }
      found->cells[k + 1] = row.second;
    }
  }
  table.caption =
      fmt::format("Every setting of the models and their training. {}.", results.provenance());
  return table;
}

Table run_table(const Results& results) {
  Table table;
  table.columns = {{"run", true}, {"role", true},   {"label", true}, {"changed", true},
                   {"seed"},      {"steps"},        {"tokens"},      {"time"},
                   {"tokens/s"},  {"best at step"}, {"best val"}};
  std::set<std::int64_t> seeds;
  for (const Field& run : results.root().list("runs")) {
    seeds.insert(run.integer("seed"));
    const std::string label = run.text("label");
    table.rows.push_back(
        {{run.text("id"), run.text("role"), label.empty() ? "–" : label, join(run.texts("set")),
          fixed(run.number("seed"), 0), count(run.number("steps")), compact(run.number("tokens")),
          run.has("seconds") ? duration(run.number("seconds")) : "–",
          count(run.number("tokens_per_second")), count(run.number("best_step")),
          nats(run.number("best_val"))},
         run.model("model")});
  }
  table.caption = fmt::format(
      "Every training. Best val is nats a token at the evaluations during training, no interval. "
      "{}; val split.",
      results.provenance(seeds));
  return table;
}

Forest ablation_forest(const Results& results, const std::vector<Field>& ablations) {
  Forest forest;
  forest.bars = true;
  forest.x_label = "difference to the baseline, nats a token";
  for (const Field& field : ablations) {
    if (field.flag("baseline") || !field.has("difference")) continue;
    const double difference = field.number("difference");
    forest.rows.push_back({fmt::format("{}: {}", field.text("group"), field.text("setting")),
                           results.run(field).model, difference, field.interval("interval"),
                           masque::report::difference(difference)});
  }
  return forest;
}

// How far apart the headline's seeds lie, which no interval of one seed holds.
std::string spread_of_seeds(const Results& results) {
  std::string text;
  for (const char* model : {"llada", "ar"}) {
    for (const HeadlineRow& row : results.headline()) {
      if (row.score.model != model || row.by_seed.size() < 2) continue;
      const auto ends = std::minmax_element(row.by_seed.begin(), row.by_seed.end());
      text += fmt::format("{}{} ({})", text.empty() ? "" : " and ",
                          nats(*ends.second - *ends.first), model_name(model));
      break;
    }
  }
  if (text.empty()) return "what another seed would change is not in them";
  return fmt::format("the headline's seeds alone lie {} apart", text);
}

}  // namespace

Section ablation_section(const Results& results) {
  Section section{"ablations", "Ablations", {}};
  const std::vector<Field> ablations = results.root().list("ablations");
  if (ablations.empty()) {
    section.blocks.push_back(Paragraph{kNotPart});
    return section;
  }
  Table table;
  table.columns = {{"group", true},
                   {"setting", true},
                   {"model", true},
                   {"changed", true},
                   {"seed"},
                   {"steps"},
                   {"nats"},
                   {"estimator's error"},
                   {"difference"},
                   {"paired interval"},
                   {"includes 0", true}};
  std::set<std::int64_t> seeds;
  for (const Field& field : ablations) {
    seeds.insert(field.integer("seed"));
    const bool baseline = field.flag("baseline");
    const Interval interval = field.interval("interval");
    const std::string model = results.run(field).model;
    table.rows.push_back(
        {{field.text("group"), field.text("setting") + (baseline ? " (baseline)" : ""),
          model_name(model), join(field.texts("set")), fixed(field.number("seed"), 0),
          count(field.number("steps")), nats(field.number("nats")), between(field.interval("ci95")),
          baseline ? "–" : difference(field.number("difference")),
          baseline ? "–" : between_differences(interval),
          baseline || !known(interval) ? "–"
          : has_zero(interval)         ? "yes"
                                       : "no"},
         model});
  }
  const std::string source =
      fmt::format("Intervals: 95% paired bootstrap over windows, of one seed; {}. {}; {}.",
                  spread_of_seeds(results), results.provenance(seeds), results.windows());
  const Forest forest = ablation_forest(results, ablations);
  if (!forest.rows.empty()) {
    std::string description;
    for (const ForestRow& row : forest.rows) {
      description += fmt::format("{} {}; ", row.label, row.text);
    }
    section.blocks.push_back(Figure{
        "ablations",
        fmt::format("One thing changed at a time; above 0 is worse than the baseline. {}", source),
        {{"", {Plot{"ablations", "Differences to the baseline", description, forest}}}}});
  }
  table.caption = fmt::format("LLaDA's nats are bounds (≤), AR's exact (=). {}", source);
  section.blocks.push_back(table);
  return section;
}

Section protocol_section(const Results& results) {
  const Field& root = results.root();
  Section section{"protocol", "Protocol", {}};
  section.blocks.push_back(Paragraph{"Made by this command:"});
  section.blocks.push_back(Code{root.text("command")});
  const double leakage = root["data"].number("leakage32");
  section.blocks.push_back(
      Paragraph{fmt::format("The text: {} {}s, {} of the test split's 32-grams are also in train.",
                            count(root["data"].number((results.unit() + "s").c_str())),
                            results.unit(), percent(leakage, 2))});
  section.blocks.push_back(settings_table(
      root["data"], "The data. train, val and test in tokens; leakage32 is a share."));
  section.blocks.push_back(settings_table(
      root["protocol"], fmt::format("How it was measured. {}.", results.provenance())));
  if (!root.list("models").empty()) section.blocks.push_back(config_table(results));
  if (!root.list("runs").empty()) section.blocks.push_back(run_table(results));
  section.blocks.push_back(settings_table(root["environment"], "The machine and the program."));
  return section;
}

}  // namespace masque::report
