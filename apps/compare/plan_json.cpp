// plan.json.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "apps/compare/plan.h"
#include "apps/presets.h"
#include "models/dataset.h"
#include "models/run.h"

namespace masque {
namespace {

using Json = nlohmann::json;

RunRole role_from(const std::string& name) {
  for (const RunRole role :
       {RunRole::trial, RunRole::headline, RunRole::judge, RunRole::ablation}) {
    if (name == name_of(role)) return role;
  }
  throw InputError(fmt::format("unknown role '{}'", name));
}

Json run_json(const PlannedRun& run) {
  return {{"id", run.id},           {"role", name_of(run.role)},
          {"seed", run.seed},       {"objective", name_of(run.objective)},
          {"steps", run.steps},     {"group", run.group},
          {"setting", run.setting}, {"set", run.set},
          {"weights", run.weights}, {"folder", run.folder},
          {"given", run.given}};
}

PlannedRun run_from(const Json& json) {
  PlannedRun run;
  run.role = role_from(json.at("role"));
  run.objective = objective_from(json.at("objective"));
  json.at("id").get_to(run.id);
  json.at("seed").get_to(run.seed);
  json.at("steps").get_to(run.steps);
  json.at("group").get_to(run.group);
  json.at("setting").get_to(run.setting);
  json.at("set").get_to(run.set);
  json.at("weights").get_to(run.weights);
  json.at("folder").get_to(run.folder);
  json.at("given").get_to(run.given);
  return run;
}

}  // namespace

Json to_json(const Plan& plan) {
  Json runs = Json::array();
  for (const PlannedRun& run : plan.runs) runs.push_back(run_json(run));
  const EvaluationPlan& evaluation = plan.evaluation;
  return {{"command", plan.command},
          {"data", plan.data},
          {"preset", plan.preset},
          {"set", plan.set},
          {"seeds", plan.seeds},
          {"judge_seed", plan.judge_seed},
          {"trials", plan.trials},
          {"budget_seconds", plan.budget_seconds},
          {"runs", runs},
          {"left_out", plan.left_out},
          {"evaluation",
           {{"draws", evaluation.draws},
            {"windows", evaluation.windows},
            {"chain_windows", evaluation.chain_windows},
            {"mixture_orders", evaluation.mixture_orders},
            {"texts", evaluation.texts},
            {"steps", evaluation.steps},
            {"strategies", evaluation.strategies}}}};
}

Plan read_plan(const std::filesystem::path& file) {
  Plan plan;
  try {
    const Json json = Json::parse(read_text(file));
    json.at("command").get_to(plan.command);
    json.at("data").get_to(plan.data);
    json.at("preset").get_to(plan.preset);
    json.at("set").get_to(plan.set);
    json.at("seeds").get_to(plan.seeds);
    json.at("judge_seed").get_to(plan.judge_seed);
    json.at("trials").get_to(plan.trials);
    json.at("budget_seconds").get_to(plan.budget_seconds);
    json.at("left_out").get_to(plan.left_out);
    for (const Json& run : json.at("runs")) plan.runs.push_back(run_from(run));
    const Json& evaluation = json.at("evaluation");
    evaluation.at("draws").get_to(plan.evaluation.draws);
    evaluation.at("windows").get_to(plan.evaluation.windows);
    evaluation.at("chain_windows").get_to(plan.evaluation.chain_windows);
    evaluation.at("mixture_orders").get_to(plan.evaluation.mixture_orders);
    evaluation.at("texts").get_to(plan.evaluation.texts);
    evaluation.at("steps").get_to(plan.evaluation.steps);
    evaluation.at("strategies").get_to(plan.evaluation.strategies);
  } catch (const Json::exception& error) {
    throw InputError(fmt::format("{} is no plan of a comparison ({}): name another folder",
                                 file.string(), error.what()));
  }
  return plan;
}

}  // namespace masque
