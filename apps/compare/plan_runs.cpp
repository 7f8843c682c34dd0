#include "apps/compare/plan_runs.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "apps/compare/variations.h"
#include "apps/presets.h"
#include "models/run.h"

namespace masque {
namespace {

namespace fs = std::filesystem;

// All must score the same tokens in the same windows. tokens: of the text.
void check_comparable(const std::string& folder, const RunConfig& config,
                      const std::string& other_folder, const RunConfig& other,
                      std::int64_t tokens) {
  if (config.training.tokenizer != other.training.tokenizer) {
    throw InputError(fmt::format("{} has the tokenizer {} and {} {}: give runs of one", folder,
                                 config.training.tokenizer, other_folder,
                                 other.training.tokenizer));
  }
  if (config.data.tokens != tokens) {
    throw InputError(fmt::format(
        "{} was trained on a text of {} {}s, and --data has {}: give that text", folder,
        config.data.tokens, config.training.tokenizer == "byte" ? "byte" : "character", tokens));
  }
  if (!config.training.start_token) {
    throw InputError(
        fmt::format("{} was trained without [START], so its windows are others: give a run with "
                    "start_token",
                    folder));
  }
  if (config.model.context != other.model.context) {
    throw InputError(fmt::format("{} has a context of {} and {} of {}: give runs of one context",
                                 folder, config.model.context, other_folder, other.model.context));
  }
  if (config.training.train_fraction != other.training.train_fraction ||
      config.training.val_fraction != other.training.val_fraction) {
    throw InputError(
        fmt::format("{} and {} split the text otherwise: give runs of one train_fraction and "
                    "val_fraction",
                    folder, other_folder));
  }
}

std::vector<PlannedRun> given_runs(const PlanRequest& request, std::int64_t tokens) {
  std::vector<PlannedRun> runs;
  std::set<std::string> ids;
  const auto add = [&](const std::string& folder, RunRole role) {
    const RunConfig config = load_config(RunFolder(folder));
    const std::string& first = request.runs.front();
    check_comparable(folder, config, first, load_config(RunFolder(first)), tokens);
    PlannedRun run;
    run.role = role;
    run.objective = config.model.objective;
    run.seed = config.training.seed;
    run.steps = config.training.steps;
    run.id = role == RunRole::judge
                 ? std::string("judge")
                 : fmt::format("{}-{}", name_of(run.objective), config.training.seed);
    run.folder = fs::absolute(folder).string();
    run.given = true;
    if (!ids.insert(run.id).second) {
      throw InputError(fmt::format("--runs: {} is a second {} run of seed {}: give one run a seed",
                                   folder, name_of(run.objective), run.seed));
    }
    runs.push_back(run);
  };
  for (const std::string& folder : request.runs) add(folder, RunRole::headline);
  for (const ObjectiveKind objective : {ObjectiveKind::llada, ObjectiveKind::ar}) {
    if (std::none_of(runs.begin(), runs.end(),
                     [&](const PlannedRun& run) { return run.objective == objective; })) {
      throw InputError(fmt::format("--runs: none is {}: give at least one of each objective",
                                   name_of(objective)));
    }
  }
  if (!request.judge.empty()) {
    add(request.judge, RunRole::judge);
    if (runs.back().objective != ObjectiveKind::ar) {
      throw InputError(fmt::format("--judge {}: is a llada run: give an ar run", request.judge));
    }
    const RunConfig judge = load_config(RunFolder(request.judge));
    for (const PlannedRun& run : runs) {
      if (run.role != RunRole::headline) continue;
      if (fs::equivalent(run.folder, runs.back().folder)) {
        throw InputError(
            fmt::format("--judge {}: is one of the compared runs: give an ar run of another seed",
                        request.judge));
      }
      if (trained_alike(load_config(RunFolder(run.folder)), judge)) {
        throw InputError(
            fmt::format("--judge {}: has the model and the seed ({}) of {}: give an ar run of "
                        "another seed",
                        request.judge, judge.training.seed, run.folder));
      }
    }
  }
  return runs;
}

}  // namespace

void add_run(Plan& plan, PlannedRun run) {
  run.folder = (fs::path("runs") / run.id).string();
  plan.runs.push_back(std::move(run));
}

RunConfig base_config(const std::string& preset_name, ObjectiveKind objective,
                      const std::vector<std::string>& set) {
  RunConfig config = preset(preset_name, objective);
  for (const std::string& assignment : set) set_key(config, assignment);
  return resolve(config);
}

void add_runs(Plan& plan, const PlanRequest& request) {
  constexpr ObjectiveKind kBoth[] = {ObjectiveKind::llada, ObjectiveKind::ar};
  for (const ObjectiveKind objective : kBoth) {
    const auto settings = trial_settings();
    for (std::int64_t k = 0; k < plan.trials; ++k) {
      PlannedRun run;
      run.id = fmt::format("trial-{}-{}", name_of(objective), k + 1);
      run.role = RunRole::trial;
      run.objective = objective;
      run.seed = plan.seeds.front();
      run.group = "trial";
      run.setting = settings[static_cast<std::size_t>(k)].setting;
      run.set = settings[static_cast<std::size_t>(k)].set;
      add_run(plan, run);
    }
  }
  for (const std::uint64_t seed : plan.seeds) {
    for (const ObjectiveKind objective : kBoth) {
      PlannedRun run;
      run.id = fmt::format("{}-{}", name_of(objective), seed);
      run.objective = objective;
      run.seed = seed;
      add_run(plan, run);
    }
  }
  if (!has(request.without, "quality")) {
    PlannedRun run;
    run.id = "judge";
    run.role = RunRole::judge;
    run.objective = ObjectiveKind::ar;
    run.seed = plan.judge_seed;
    add_run(plan, run);
  }
  std::set<ObjectiveKind> with_baseline;
  for (const Variation& variation : ablations()) {
    if (has(request.without, variation.group)) continue;
    const RunConfig base = base_config(plan.preset, variation.objective, plan.set);
    if (!changes(variation, base)) continue;
    PlannedRun run;
    run.role = RunRole::ablation;
    run.objective = variation.objective;
    run.seed = plan.seeds.front();
    if (with_baseline.insert(variation.objective).second) {
      run.id = fmt::format("ablation-{}-baseline", name_of(variation.objective));
      run.group = "baseline";
      run.setting = "as the headline";
      add_run(plan, run);
    }
    run.id = fmt::format("ablation-{}-{}-{}", name_of(variation.objective), variation.group,
                         variation.id);
    run.group = variation.group;
    run.setting = variation.setting;
    run.set = variation.set;
    run.weights = variation.weights;
    add_run(plan, run);
  }
}

void take_runs(Plan& plan, const PlanRequest& request, std::int64_t tokens) {
  plan.runs = given_runs(request, tokens);
  plan.preset = "as the runs";
  plan.seeds.clear();
  for (const PlannedRun& run : plan.runs) {
    const bool known =
        std::find(plan.seeds.begin(), plan.seeds.end(), run.seed) != plan.seeds.end();
    if (run.role == RunRole::headline && !known) plan.seeds.push_back(run.seed);
  }
  plan.left_out.emplace_back("ablations: the runs were given");
}

void drop_ablations(Plan& plan, const std::string& why) {
  const auto is_ablation = [](const PlannedRun& run) { return run.role == RunRole::ablation; };
  if (std::none_of(plan.runs.begin(), plan.runs.end(), is_ablation)) return;
  std::erase_if(plan.runs, is_ablation);
  plan.left_out.push_back(fmt::format("ablations: {}", why));
}

}  // namespace masque
