// plan.json. Each kind of object names its keys once, for both directions.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "apps/compare/plan.h"
#include "models/corpus.h"

namespace masque {
namespace {

using Json = nlohmann::json;

template <class Run, class Field>
void run_fields(Run& run, const Field& field) {
  field("id", run.id);
  field("role", run.role);
  field("objective", run.objective);
  field("seed", run.seed);
  field("steps", run.steps);
  field("group", run.group);
  field("setting", run.setting);
  field("data_fraction", run.data_fraction);
  field("epochs", run.epochs);
  field("set", run.set);
  field("weights", run.weights);
  field("folder", run.folder);
  field("given", run.given);
}

template <class Evaluation, class Field>
void evaluation_fields(Evaluation& evaluation, const Field& field) {
  field("draws", evaluation.draws);
  field("windows", evaluation.windows);
  field("chain_windows", evaluation.chain_windows);
  field("mixture_orders", evaluation.mixture_orders);
  field("texts", evaluation.texts);
  field("steps", evaluation.steps);
  field("strategies", evaluation.strategies);
}

template <class AnyPlan, class Field>
void plan_fields(AnyPlan& plan, const Field& field) {
  field("command", plan.command);
  field("data", plan.data);
  field("preset", plan.preset);
  field("set", plan.set);
  field("seeds", plan.seeds);
  field("judge_seed", plan.judge_seed);
  field("trials", plan.trials);
  field("budget_seconds", plan.budget_seconds);
  field("runs", plan.runs);
  field("left_out", plan.left_out);
  field("evaluation", plan.evaluation);
}

struct Write {
  Json& json;

  void operator()(const char* key, RunRole role) const { json[key] = name_of(role); }
  void operator()(const char* key, ObjectiveKind objective) const {
    json[key] = name_of(objective);
  }
  void operator()(const char* key, const std::vector<PlannedRun>& runs) const {
    json[key] = Json::array();
    for (const PlannedRun& run : runs) run_fields(run, Write{json[key].emplace_back()});
  }
  void operator()(const char* key, const EvaluationPlan& evaluation) const {
    evaluation_fields(evaluation, Write{json[key]});
  }
  template <class Value>
  void operator()(const char* key, const Value& value) const {
    json[key] = value;
  }
};

RunRole role_from(const std::string& name) {
  for (const RunRole role :
       {RunRole::trial, RunRole::headline, RunRole::judge, RunRole::ablation, RunRole::study}) {
    if (name == name_of(role)) return role;
  }
  throw InputError(fmt::format("unknown role '{}'", name));
}

struct Read {
  const Json& json;

  void operator()(const char* key, RunRole& role) const { role = role_from(json.at(key)); }
  void operator()(const char* key, ObjectiveKind& objective) const {
    objective = objective_from(json.at(key));
  }
  void operator()(const char* key, std::vector<PlannedRun>& runs) const {
    for (const Json& run : json.at(key)) run_fields(runs.emplace_back(), Read{run});
  }
  void operator()(const char* key, EvaluationPlan& evaluation) const {
    evaluation_fields(evaluation, Read{json.at(key)});
  }
  template <class Value>
  void operator()(const char* key, Value& value) const {
    json.at(key).get_to(value);
  }
};

}  // namespace

Json to_json(const Plan& plan) {
  Json json;
  plan_fields(plan, Write{json});
  return json;
}

Plan read_plan(const std::filesystem::path& file) {
  Plan plan;
  const std::string text = read_text(file);
  const auto refuse = [&](const std::string& reason) {
    throw InputError(fmt::format("{} is no plan of a comparison ({}): name another folder",
                                 file.string(), reason));
  };
  try {
    const Json json = Json::parse(text);
    plan_fields(plan, Read{json});
  } catch (const Json::parse_error& error) {
    refuse(fmt::format("it is not JSON at its byte {}", error.byte));
  } catch (const Json::exception& error) {
    refuse(error.what());
  } catch (const InputError& error) {  // a role or an objective
    refuse(error.what());
  }
  if (plan.runs.empty()) refuse("it has no runs");
  return plan;
}

}  // namespace masque
