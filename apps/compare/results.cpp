#include "apps/compare/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <numeric>
#include <optional>

#include "apps/compare/likelihoods.h"
#include "apps/compare/seeds.h"
#include "apps/compare/study.h"

namespace masque {
namespace {

using Json = nlohmann::json;

std::vector<PlannedRun> runs_of(const Plan& plan, RunRole role) {
  std::vector<PlannedRun> runs;
  std::copy_if(plan.runs.begin(), plan.runs.end(), std::back_inserter(runs),
               [role](const PlannedRun& run) { return run.role == role; });
  return runs;
}

// A part; null where it is not there, or was skipped.
const Json& made(const Parts& parts, const std::string& name) {
  static const Json kNone;
  const Json& part = parts.read(name);
  return part.contains("skipped") ? kNone : part;
}

// The windows of an estimator of a run; nothing where it was not measured.
std::optional<WindowNats> windows_of(const Parts& parts, const PlannedRun& run,
                                     const std::string& key) {
  const Json& part = made(parts, likelihood_part(run));
  if (part.is_null() || !part.at("windows").contains(key)) return std::nullopt;
  return windows_from(part.at("windows").at(key));
}

// One row of the headline: an estimator of one objective, over seeds.
struct Row {
  ObjectiveKind objective;
  std::string key, estimator, bound;
  Json order;
};

// begins: of the windows; empty for all that the estimator has.
Json headline_row(const Plan& plan, const Parts& parts, const Row& row,
                  const std::vector<std::int64_t>& begins) {
  std::vector<double> by_seed;
  Json ci95_text;
  std::size_t windows = 0;
  for (const PlannedRun& run : runs_of(plan, RunRole::headline)) {
    if (run.objective != row.objective) continue;
    std::optional<WindowNats> all = windows_of(parts, run, row.key);
    if (!all) continue;
    if (!begins.empty()) all = restrict_to(*all, begins);
    if (by_seed.empty()) {
      ci95_text = to_json(moving_block_bootstrap(all->nats, all->tokens, 1));
      windows = all->begin.size();
    }
    by_seed.push_back(nats_per_token(*all));
  }
  if (by_seed.empty()) return nullptr;
  const SeedMean mean = mean_over_seeds(by_seed);
  return {{"model", name_of(row.objective)},
          {"estimator", row.estimator},
          {"order", row.order},
          {"bound", row.bound},
          {"nats", mean.mean},
          {"across_seeds", mean.across_seeds},
          {"by_seed", by_seed},
          {"ci95_text", ci95_text},
          {"bits", mean.mean / std::numbers::ln2},
          {"perplexity", std::exp(mean.mean)},
          {"windows", windows}};
}

// The windows of the chains; empty where there are none yet.
std::vector<std::int64_t> chain_begins(const Plan& plan, const Parts& parts) {
  for (const PlannedRun& run : runs_of(plan, RunRole::headline)) {
    const auto windows = windows_of(parts, run, "mixture");
    if (windows) return windows->begin;
  }
  return {};
}

// The estimators, as the headline and the differences name them. order: of the best chain.
struct Rows {
  Row nelbo{ObjectiveKind::llada, "nelbo", "nelbo", "upper", nullptr};
  Row random{ObjectiveKind::llada, "chain-random", "chain", "mean", "random"};
  Row mixture{ObjectiveKind::llada, "mixture", "mixture", "exact", "random"};
  Row best{ObjectiveKind::llada, "chain-best", "chain", "exact", nullptr};
  Row exact{ObjectiveKind::ar, "exact", "exact", "exact", "l2r"};

  explicit Rows(const Parts& parts) {
    const Json& chosen = parts.read(kOrder);
    if (!chosen.is_null()) best.order = chosen.at("order");
  }
};

Json headline(const Plan& plan, const Parts& parts) {
  const Rows rows(parts);
  Json list = Json::array();
  const auto add = [&](const Row& row, const std::vector<std::int64_t>& begins) {
    const Json json = headline_row(plan, parts, row, begins);
    if (!json.is_null()) list.push_back(json);
  };
  add(rows.nelbo, {});
  add(rows.exact, {});
  // Chains are of fewer windows, so all are scored on those too.
  const std::vector<std::int64_t> begins = chain_begins(plan, parts);
  if (begins.empty()) return list;
  for (const Row* row : {&rows.nelbo, &rows.random, &rows.mixture, &rows.best, &rows.exact}) {
    add(*row, begins);
  }
  return list;
}

// a − b over seeds, windows paired.
Json difference(const Plan& plan, const Parts& parts, const std::string& name, const Row& a,
                const Row& b, const std::vector<std::int64_t>& begins, const char* note) {
  std::vector<double> by_seed;
  std::size_t windows = 0;
  Json paired = Json::array();
  for (const PlannedRun& first : runs_of(plan, RunRole::headline)) {
    if (first.objective != a.objective) continue;
    for (const PlannedRun& second : runs_of(plan, RunRole::headline)) {
      if (second.objective != b.objective || second.seed != first.seed) continue;
      auto left = windows_of(parts, first, a.key), right = windows_of(parts, second, b.key);
      if (!left || !right) continue;
      if (!begins.empty()) {
        left = restrict_to(*left, begins);
        right = restrict_to(*right, begins);
      }
      windows = left->begin.size();
      by_seed.push_back(nats_per_token(*left) - nats_per_token(*right));
      paired.push_back({{"seed", first.seed},
                        {"nats", by_seed.back()},
                        {"interval", to_json(paired_interval(*left, *right))}});
    }
  }
  if (by_seed.empty()) return nullptr;
  const SeedMean mean = mean_over_seeds(by_seed);
  const auto named = [](const Row& row) {
    return Json{
        {"model", name_of(row.objective)}, {"estimator", row.estimator}, {"order", row.order}};
  };
  return {{"name", name},       {"first", named(a)}, {"second", named(b)},
          {"windows", windows}, {"nats", mean.mean}, {"across_seeds", mean.across_seeds},
          {"paired", paired},   {"note", note}};
}

Json differences(const Plan& plan, const Parts& parts) {
  const Rows rows(parts);
  const std::vector<std::int64_t> begins = chain_begins(plan, parts);
  Json list = Json::array();
  const auto add = [&](const char* name, const Row& a, const Row& b,
                       const std::vector<std::int64_t>& where, const char* note) {
    const Json json = difference(plan, parts, name, a, b, where, note);
    if (!json.is_null()) list.push_back(json);
  };
  add("LLaDA nelbo − AR exact", rows.nelbo, rows.exact, {},
      "An upper bound less an exact value: the true difference is at most this.");
  if (begins.empty()) return list;
  add("LLaDA best-order chain − AR exact", rows.best, rows.exact, begins,
      "Both exact. The order was chosen on val.");
  add("LLaDA mixture − AR exact", rows.mixture, rows.exact, begins,
      "Both exact: LLaDA decoded in one of the orders, drawn at random.");
  add("LLaDA nelbo − random-order chain", rows.nelbo, rows.random, begins,
      "A check: their expectations are equal, so the interval should hold 0.");
  add("LLaDA nelbo − mixture", rows.nelbo, rows.mixture, begins,
      "How loose the bound is for a decoder that draws its order.");
  add("LLaDA nelbo − best-order chain", rows.nelbo, rows.best, begins,
      "How much a good order gains over a random one.");
  return list;
}

Json estimates(const Plan& plan, const Parts& parts) {
  Json list = Json::array();
  for (const PlannedRun& run : plan.runs) {
    const Json& part = made(parts, likelihood_part(run));
    const Json& facts = made(parts, run_part(run));
    if (part.is_null() || facts.is_null()) continue;
    for (Json estimate : part.at("estimates")) {
      estimate["run"] = run.id;
      estimate["model"] = name_of(run.objective);
      estimate["seed"] = run.seed;
      estimate["config_hash"] = facts.at("config_hash");
      list.push_back(estimate);
    }
  }
  return list;
}

// by_masked or by_position of the headline's runs.
Json curves(const Plan& plan, const Parts& parts, const char* key, const char* name) {
  Json list = Json::array();
  for (const PlannedRun& run : runs_of(plan, RunRole::headline)) {
    const Json& part = made(parts, likelihood_part(run));
    if (part.is_null() || part.at(key).empty()) continue;
    list.push_back({{"run", run.id},
                    {"estimator", part.at("estimates").at(0).at("estimator")},
                    {name, part.at(key)}});
  }
  return list;
}

Json ablations(const Plan& plan, const Parts& parts) {
  Json list = Json::array();
  for (const ObjectiveKind objective : {ObjectiveKind::llada, ObjectiveKind::ar}) {
    const std::string key = objective == ObjectiveKind::llada ? "nelbo" : "exact";
    std::optional<WindowNats> baseline;
    for (const PlannedRun& run : runs_of(plan, RunRole::ablation)) {
      if (run.objective != objective) continue;
      const auto windows = windows_of(parts, run, key);
      if (!windows) continue;
      const bool is_baseline = run.group == "baseline";
      if (is_baseline) baseline = windows;
      Json row = {{"group", run.group},
                  {"model", name_of(objective)},
                  {"setting", run.setting},
                  {"set", run.set},
                  {"weights", run.weights},
                  {"baseline", is_baseline},
                  {"run", run.id},
                  {"seed", run.seed},
                  {"steps", run.steps},
                  {"nats", nats_per_token(*windows)},
                  {"ci95", parts.read(likelihood_part(run)).at("estimates").at(0).at("ci95")},
                  {"difference", nullptr},
                  {"interval", nullptr}};
      if (!is_baseline && baseline) {
        row["difference"] = nats_per_token(*windows) - nats_per_token(*baseline);
        row["interval"] = to_json(paired_interval(*windows, *baseline));
      }
      list.push_back(row);
    }
  }
  return list;
}

Json runs(const Plan& plan, const Parts& parts) {
  Json list = Json::array();
  for (const PlannedRun& run : plan.runs) {
    Json facts = made(parts, run_part(run));
    if (facts.is_null()) continue;
    facts.erase("config");
    facts.erase("parameters");
    list.push_back(facts);
  }
  return list;
}

Json models(const Plan& plan, const Parts& parts) {
  Json list = Json::array();
  const RunRole main_role = is_study(plan) ? RunRole::study : RunRole::headline;
  for (const ObjectiveKind objective : {ObjectiveKind::llada, ObjectiveKind::ar}) {
    for (const PlannedRun& run : runs_of(plan, main_role)) {
      const Json& facts = made(parts, run_part(run));
      if (run.objective != objective || facts.is_null()) continue;
      list.push_back({{"name", name_of(objective)},
                      {"parameters", facts.at("parameters")},
                      {"config", facts.at("config")},
                      {"config_hash", facts.at("config_hash")}});
      break;
    }
  }
  return list;
}

}  // namespace

std::string run_part(const PlannedRun& run) {
  return fmt::format("run-{}", run.id);
}

std::string likelihood_part(const PlannedRun& run) {
  return fmt::format("likelihood-{}", run.id);
}

std::vector<std::string> missing_parts(const Plan& plan, const Parts& parts) {
  std::vector<std::string> missing;
  const auto want = [&](const std::string& part) {
    if (!parts.has(part)) missing.push_back(part);
  };
  want(kSetting);
  for (const PlannedRun& run : plan.runs) {
    want(run_part(run));
    if (run.role == RunRole::trial || run.role == RunRole::judge) continue;
    want(likelihood_part(run));
  }
  if (plan.evaluation.chain_windows > 0) want(kOrder);
  if (plan.evaluation.texts > 0) want(kQuality);
  return missing;
}

Json make_results(const Plan& plan, const Parts& parts) {
  Json results = {{"format", 1}, {"command", plan.command}};
  results.update(parts.read(kSetting));
  std::vector<std::string> missing = missing_parts(plan, parts);
  // What was skipped, for lack of time or as it diverged, is there, and says so.
  for (const PlannedRun& run : plan.runs) {
    const Json& part = parts.read(run_part(run));
    if (part.is_object() && part.contains("skipped")) {
      missing.push_back(fmt::format("{}: {}", run.id, part.at("skipped").get<std::string>()));
    }
  }
  results["protocol"]["tuned"] = parts.read(kTuning);  // keys that the trials chose
  results["complete"] = missing.empty();
  missing.insert(missing.end(), plan.left_out.begin(), plan.left_out.end());
  results["missing"] = missing;
  results["models"] = models(plan, parts);
  results["runs"] = runs(plan, parts);
  results["estimates"] = estimates(plan, parts);
  results["headline"] = headline(plan, parts);
  results["differences"] = differences(plan, parts);
  results["by_masked"] = curves(plan, parts, "by_masked", "points");
  results["by_position"] = curves(plan, parts, "by_position", "nats");
  results["ablations"] = ablations(plan, parts);
  results["study"] = study_rows(plan, parts);
  results["crossings"] = study_crossings(results.at("study"));
  const Json& quality = parts.read(kQuality);
  for (const char* key : {"quality", "samples", "viewer"}) {
    results[key] = quality.is_null() ? Json::array() : quality.at(key);
  }
  return results;
}

}  // namespace masque
