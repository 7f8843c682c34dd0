#include "apps/compare/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "apps/compare/flops.h"
#include "apps/compare/plan_evaluation.h"
#include "apps/compare/variations.h"
#include "apps/presets.h"
#include "apps/step_time.h"
#include "core/check.h"
#include "models/dataset.h"
#include "models/run.h"
#include "models/trainer.h"

namespace masque {
namespace {

namespace fs = std::filesystem;

// Of a budget. The rest is for evaluation (plan_evaluation.cpp).
constexpr double kTrainingShare = 0.6;
// With a budget, an ablation trains for this part of a headline run.
constexpr double kAblationPart = 1.0 / 3;
constexpr std::int64_t kLeastAblationSteps = 200;
constexpr std::int64_t kLeastSteps = 50;
constexpr std::int64_t kEvaluations = 16, kAblationEvaluations = 4;  // on val, a run

bool has(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

RunConfig base_config(const std::string& preset_name, ObjectiveKind objective,
                      const std::vector<std::string>& set) {
  RunConfig config = preset(preset_name, objective);
  for (const std::string& assignment : set) set_key(config, assignment);
  return resolve(config);
}

// What a step takes here.
struct Pace {
  double llada = 0, ar = 0;  // seconds a training step

  double of(ObjectiveKind objective) const {
    return objective == ObjectiveKind::llada ? llada : ar;
  }
};

double step_seconds(RunConfig config, const std::string& text, const Device& device) {
  const Tokenizer tokenizer = Tokenizer::from_text(text);
  config.model.vocab_size = tokenizer.vocab_size();
  Trainer trainer(config, tokenizer,
                  split_tokens(tokenizer.encode(text), config.training.train_fraction,
                               config.training.val_fraction),
                  device);
  return seconds_per_step(trainer);
}

Pace measure_pace(const std::string& preset_name, const std::vector<std::string>& set,
                  const std::string& text, const Device& device) {
  Pace pace;
  pace.llada = step_seconds(base_config(preset_name, ObjectiveKind::llada, set), text, device);
  pace.ar = step_seconds(base_config(preset_name, ObjectiveKind::ar, set), text, device);
  return pace;
}

double step_flops(const RunConfig& config) {
  const TrainingConfig& training = config.training;
  return training_flops_per_token(config.model) *
         static_cast<double>(training.batch * training.accumulation * config.model.context);
}

// How many headline runs' worth of steps the plan trains, weighed by what a step takes.
double seconds_of_a_headline_step(const Plan& plan, const Pace& pace) {
  double seconds = 0;
  for (const PlannedRun& run : plan.runs) {
    if (run.given) continue;
    seconds += pace.of(run.objective) * (run.role == RunRole::ablation ? kAblationPart : 1);
  }
  return seconds;
}

// Whether a preset's own number of steps can be afforded: by the pace of `quick` and FLOPs.
bool fits(const std::string& name, const PlanRequest& request, const Plan& plan,
          const Pace& quick) {
  const RunConfig llada = base_config(name, ObjectiveKind::llada, request.set);
  const RunConfig reference = base_config("quick", ObjectiveKind::llada, request.set);
  const double larger = step_flops(llada) / step_flops(reference);
  const double step = seconds_of_a_headline_step(plan, quick) * larger;
  return step * static_cast<double>(llada.training.steps) <=
         kTrainingShare * request.budget_seconds;
}

std::vector<PlannedRun> given_runs(const PlanRequest& request) {
  std::vector<PlannedRun> runs;
  std::set<std::string> ids;
  const auto add = [&](const std::string& folder, RunRole role) {
    const RunConfig config = load_config(RunFolder(folder));
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
    for (const PlannedRun& run : runs) {
      if (run.role == RunRole::headline && run.folder == runs.back().folder) {
        throw InputError(
            fmt::format("--judge {}: is one of the compared runs: give an ar run of another seed",
                        request.judge));
      }
    }
  }
  return runs;
}

void add_run(Plan& plan, PlannedRun run) {
  run.folder = (fs::path("runs") / run.id).string();
  plan.runs.push_back(std::move(run));
}

// Everything that is trained, steps left open.
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

void take_runs(Plan& plan, const PlanRequest& request) {
  plan.runs = given_runs(request);
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

std::string choose_preset(const PlanRequest& request, const Plan& plan, const std::string& text,
                          const Device& device) {
  if (!request.preset.empty()) return request.preset;
  if (request.budget_seconds == 0 || !request.runs.empty()) return "quick";
  const Pace quick = measure_pace("quick", request.set, text, device);
  for (const char* name : {"baby", "small", "quick"}) {
    if (fits(name, request, plan, quick)) return name;
  }
  return "tiny";
}

void set_steps(Plan& plan, const RunConfig& llada, const Pace& pace) {
  std::int64_t steps = llada.training.steps, ablation_steps = steps;
  if (plan.budget_seconds > 0) {
    const double budget = kTrainingShare * plan.budget_seconds;
    const auto affordable = [&] {
      return static_cast<std::int64_t>(budget / seconds_of_a_headline_step(plan, pace));
    };
    steps = affordable();
    if (static_cast<double>(steps) * kAblationPart < static_cast<double>(kLeastAblationSteps)) {
      drop_ablations(
          plan, fmt::format("the budget allows fewer than {} steps each", kLeastAblationSteps));
      steps = affordable();
    }
    if (steps < kLeastSteps) {
      throw InputError(fmt::format(
          "--budget {}s: {} runs of preset {} could train for {} steps each: give more time, fewer "
          "--seeds or a smaller --preset",
          plan.budget_seconds, plan.runs.size(), plan.preset, steps));
    }
    ablation_steps = static_cast<std::int64_t>(static_cast<double>(steps) * kAblationPart);
  }
  for (PlannedRun& run : plan.runs) {
    if (!run.given) run.steps = run.role == RunRole::ablation ? ablation_steps : steps;
  }
}

}  // namespace

RunConfig config_of(const Plan& plan, const PlannedRun& run,
                    const std::vector<std::string>& tuned) {
  RunConfig config = preset(plan.preset, run.objective);
  TrainingConfig& training = config.training;
  training.steps = run.steps;
  training.warmup = std::min(training.warmup, run.steps / 10);
  const std::int64_t evaluations =
      run.role == RunRole::ablation ? kAblationEvaluations : kEvaluations;
  training.eval_every = std::max<std::int64_t>(1, run.steps / evaluations);
  training.save_every = training.eval_every;
  training.keep = 1;
  for (const auto* assignments : {&plan.set, &tuned, &run.set}) {
    for (const std::string& assignment : *assignments) set_key(config, assignment);
  }
  training.seed = run.seed;
  return resolve(config);
}

const char* name_of(RunRole role) {
  switch (role) {
    case RunRole::trial:
      return "trial";
    case RunRole::headline:
      return "headline";
    case RunRole::judge:
      return "judge";
    case RunRole::ablation:
      break;
  }
  return "ablation";
}

std::vector<std::string> part_names() {
  std::vector<std::string> names = {"chains", "quality", "ablations"};
  for (const Variation& variation : ablations()) {
    if (!has(names, variation.group)) names.push_back(variation.group);
  }
  return names;
}

Plan make_plan(const PlanRequest& request, const Device& device) {
  for (const std::string& part : request.without) {
    if (has(part_names(), part)) continue;
    throw InputError(fmt::format("--without {}: did you mean {}? There are {}", part,
                                 nearest(part, part_names()), fmt::join(part_names(), ", ")));
  }
  const std::set<std::uint64_t> different(request.seeds.begin(), request.seeds.end());
  if (request.seeds.empty() || different.size() != request.seeds.size()) {
    throw InputError(
        fmt::format("--seeds {}: give at least one, each once", fmt::join(request.seeds, ",")));
  }
  const auto most = static_cast<std::int64_t>(trial_settings().size());
  if (request.trials < 0 || request.trials > most) {
    throw InputError(fmt::format("--trials {}: give 0 to {}", request.trials, most));
  }
  Plan plan;
  plan.command = request.command;
  plan.data = fs::absolute(find_data(request.data)).string();
  plan.set = request.set;
  plan.seeds = request.seeds;
  plan.judge_seed = *different.rbegin() + 1000;
  plan.trials = request.trials;
  plan.budget_seconds = request.budget_seconds;
  const std::string text = read_text(plan.data);
  plan.preset = request.preset.empty() ? "quick" : request.preset;
  RunConfig llada;
  double step = 0;  // seconds
  if (request.runs.empty()) {
    add_runs(plan, request);
    if (has(request.without, "ablations")) drop_ablations(plan, "switched off");
    plan.preset = choose_preset(request, plan, text, device);
    llada = base_config(plan.preset, ObjectiveKind::llada, plan.set);
    Pace pace;
    if (plan.budget_seconds > 0) pace = measure_pace(plan.preset, plan.set, text, device);
    set_steps(plan, llada, pace);
    step = pace.llada;
  } else {
    take_runs(plan, request);
    llada = load_config(RunFolder(plan.runs.front().folder));
    if (plan.budget_seconds > 0) step = step_seconds(llada, text, device);
  }
  plan_evaluation(plan, request.without, llada, text, step);
  return plan;
}

}  // namespace masque
