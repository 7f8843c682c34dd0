// What the study's runs show, for results.json.
#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "apps/compare/results.h"
#include "apps/compare/seeds.h"
#include "apps/compare/study.h"

namespace masque {
namespace {

using Json = nlohmann::json;

// The runs of one setting of one group in one cell, over seeds.
struct Setting {
  const PlannedRun* first = nullptr;
  std::vector<double> test, best_val, last_val;  // nats a token, by seed
  Json ci95_text;                                // of the first seed
  bool complete = true;
  bool diverged = false;  // with a seed: out of the choice
};

void add(Setting& setting, const PlannedRun& run, const Parts& parts) {
  const Json &facts = parts.read(run_part(run)), &part = parts.read(likelihood_part(run));
  if (facts.is_object() && facts.contains("diverged")) {
    setting.diverged = true;
    return;
  }
  if (facts.is_null() || part.is_null() || facts.contains("skipped") || part.contains("skipped")) {
    setting.complete = false;
    return;
  }
  const Json& estimate = part.at("estimates").at(0);
  const Json& curve = facts.at("curve");
  if (setting.test.empty()) {
    setting.first = &run;
    setting.ci95_text = estimate.at("ci95_text");
  }
  const auto nats = [](const Json& value) { return value.is_number() ? value.get<double>() : NAN; };
  setting.test.push_back(estimate.at("nats"));
  setting.best_val.push_back(nats(facts.at("best_val")));
  setting.last_val.push_back(curve.empty() ? NAN : nats(curve.back().at("val")));
}

Json finite(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

// What is not known is the worst.
double val_of(const Setting& setting) {
  const double val = mean_over_seeds(setting.best_val).mean;
  return std::isnan(val) ? INFINITY : val;
}

// Null where a setting is still to come, or all diverged.
Json row_of(const std::map<std::string, Setting>& settings) {
  const Setting* best = nullptr;
  for (const auto& [name, setting] : settings) {
    if (setting.diverged) continue;
    if (!setting.complete) return nullptr;
    if (best == nullptr || val_of(setting) < val_of(*best)) best = &setting;
  }
  if (best == nullptr) return nullptr;
  const Setting& setting = *best;
  const PlannedRun& run = *setting.first;
  const SeedMean test = mean_over_seeds(setting.test);
  return {{"data_fraction", run.data_fraction},
          {"epochs", run.epochs},
          {"group", run.group},
          {"model", name_of(run.objective)},
          {"bound", run.objective == ObjectiveKind::llada ? "upper" : "exact"},
          {"steps", run.steps},
          {"setting", run.setting},
          {"settings", settings.size()},
          {"nats", test.mean},
          {"across_seeds", test.across_seeds},
          {"by_seed", setting.test},
          {"ci95_text", setting.ci95_text},
          {"best_val", finite(mean_over_seeds(setting.best_val).mean)},
          {"last_val", finite(mean_over_seeds(setting.last_val).mean)}};
}

// Epochs at which the difference passes through 0 between two points: linear in log epochs.
double zero_between(const std::pair<double, double>& a, const std::pair<double, double>& b) {
  const double part = a.second / (a.second - b.second);
  return a.first * std::pow(b.first / a.first, part);
}

}  // namespace

Json study_rows(const Plan& plan, const Parts& parts) {
  using Cell = std::tuple<double, std::int64_t, std::string>;  // fraction, epochs, group
  std::map<Cell, std::map<std::string, Setting>> cells;
  std::vector<Cell> order;
  for (const PlannedRun& run : plan.runs) {
    if (run.role != RunRole::study) continue;
    const Cell cell{run.data_fraction, run.epochs, run.group};
    if (cells.count(cell) == 0) order.push_back(cell);
    add(cells[cell][run.setting], run, parts);
  }
  std::stable_sort(order.begin(), order.end(), [](const Cell& a, const Cell& b) {
    return std::tie(std::get<0>(a), std::get<1>(a)) < std::tie(std::get<0>(b), std::get<1>(b));
  });
  Json rows = Json::array();
  for (const Cell& cell : order) {
    const Json row = row_of(cells.at(cell));
    if (!row.is_null()) rows.push_back(row);
  }
  return rows;
}

Json study_crossings(const Json& rows) {
  using Curve = std::map<double, double>;             // nats by epochs
  std::map<double, std::map<std::string, Curve>> ar;  // by fraction and group
  std::map<double, Curve> llada;                      // by fraction
  for (const Json& row : rows) {
    const bool is_llada = row.at("model") == name_of(ObjectiveKind::llada);
    const double fraction = row.at("data_fraction");
    Curve& curve = is_llada ? llada[fraction] : ar[fraction][row.at("group")];
    curve[row.at("epochs")] = row.at("nats");
  }
  Json list = Json::array();
  for (const auto& of_fraction : ar) {
    for (const auto& of_group : of_fraction.second) {
      std::vector<std::pair<double, double>> differences;  // epochs, LLaDA − AR
      for (const auto& point : of_group.second) {
        const auto found = llada[of_fraction.first].find(point.first);
        if (found == llada[of_fraction.first].end()) continue;
        differences.emplace_back(point.first, found->second - point.second);
      }
      if (differences.empty()) continue;
      // The last that is above 0: from there on LLaDA is no worse.
      const auto above = std::find_if(differences.rbegin(), differences.rend(),
                                      [](const auto& point) { return point.second > 0; });
      Json epochs;
      if (above == differences.rend()) {
        epochs = differences.front().first;
      } else if (above != differences.rbegin()) {
        epochs = zero_between(*above, *std::prev(above));
      }
      const auto& last = differences.back();
      list.push_back({{"data_fraction", of_fraction.first},
                      {"group", of_group.first},
                      {"epochs", epochs},
                      {"last", {{"epochs", last.first}, {"difference", last.second}}}});
    }
  }
  return list;
}

}  // namespace masque
