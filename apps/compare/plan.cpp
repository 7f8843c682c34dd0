#include "apps/compare/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "apps/compare/flops.h"
#include "apps/compare/plan_evaluation.h"
#include "apps/compare/plan_runs.h"
#include "apps/compare/study.h"
#include "apps/compare/texts.h"
#include "apps/compare/variations.h"
#include "apps/own_text.h"
#include "apps/presets.h"
#include "apps/step_time.h"
#include "core/check.h"
#include "models/corpus.h"
#include "models/dataset.h"
#include "models/run.h"
#include "models/spelling.h"
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
constexpr double kMostSteps = 1e12;
constexpr std::int64_t kEvaluations = 16, kAblationEvaluations = 4;  // on val, a run

// What a step takes here.
struct Pace {
  double llada = 0, ar = 0;  // seconds a training step

  double of(ObjectiveKind objective) const {
    return objective == ObjectiveKind::llada ? llada : ar;
  }
};

double step_seconds(RunConfig config, const CompareText& text, const Device& device) {
  config.model.vocab_size = text.tokenizer.vocab_size();
  Trainer trainer(config, text.tokenizer, split_tokens(text.tokens, config.training), device);
  return seconds_per_step(trainer);
}

Pace measure_pace(const std::string& preset_name, const std::vector<std::string>& set,
                  const CompareText& text, const Device& device) {
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
    // The first seed's headline is the trial that was chosen.
    const bool is_trial =
        plan.trials > 0 && run.role == RunRole::headline && run.seed == plan.seeds.front();
    if (run.given || is_trial) continue;
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

std::string choose_preset(const PlanRequest& request, const Plan& plan, const CompareText& text,
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
      return static_cast<std::int64_t>(
          std::min(budget / seconds_of_a_headline_step(plan, pace), kMostSteps));
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

// Before a budget has its say.
std::string preset_of(const PlanRequest& request) {
  if (!request.preset.empty()) return request.preset;
  return request.study ? "tiny" : "quick";
}

// Both objectives must score the same tokens in the same windows.
void require_start(const PlanRequest& request) {
  const std::string name = preset_of(request);
  if (base_config(name, ObjectiveKind::ar, request.set).training.start_token) return;
  throw InputError(fmt::format(
      "--preset {}: trains AR without [START], so its windows are others than LLaDA's: add --set "
      "start_token=true",
      name));
}

CompareText read_text_of(const PlanRequest& request, const std::string& data) {
  const RunConfig config = request.runs.empty()
                               ? base_config(preset_of(request), ObjectiveKind::llada, request.set)
                               : load_config(RunFolder(request.runs.front()));
  const std::string& tokenizer = config.training.tokenizer;
  return {data, tokenizer, read_data(data, tokenizer).text};
}

// What the plan's evaluation needs to know of its training.
struct Training {
  RunConfig llada;
  double step_seconds = 0;  // of LLaDA; 0: no budget, so not measured
};

Training plan_training(Plan& plan, const PlanRequest& request, const CompareText& text,
                       const Device& device) {
  plan.preset = preset_of(request);
  add_runs(plan, request);
  if (has(request.without, "ablations")) drop_ablations(plan, "switched off");
  plan.preset = choose_preset(request, plan, text, device);
  const RunConfig llada = base_config(plan.preset, ObjectiveKind::llada, plan.set);
  Pace pace;
  if (plan.budget_seconds > 0) pace = measure_pace(plan.preset, plan.set, text, device);
  set_steps(plan, llada, pace);
  return {llada, pace.llada};
}

Training plan_study(Plan& plan, const PlanRequest& request, const CompareText& text,
                    const Device& device) {
  plan.preset = preset_of(request);
  const RunConfig llada = base_config(plan.preset, ObjectiveKind::llada, plan.set);
  add_study_runs(
      plan, request,
      static_cast<std::int64_t>(static_cast<double>(text.size()) * llada.training.train_fraction));
  if (plan.budget_seconds == 0) return {llada, 0};
  const Pace pace = measure_pace(plan.preset, plan.set, text, device);
  fit_study(
      plan,
      [&](const PlannedRun& run) {
        return pace.of(run.objective) * static_cast<double>(run.steps);
      },
      kTrainingShare * plan.budget_seconds);
  return {llada, pace.llada};
}

Training plan_given(Plan& plan, const PlanRequest& request, const CompareText& text,
                    const Device& device) {
  take_runs(plan, request, text.size());
  const RunConfig llada = load_config(RunFolder(plan.runs.front().folder));
  return {llada, plan.budget_seconds > 0 ? step_seconds(llada, text, device) : 0};
}

}  // namespace

bool has(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

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
  training.data_fraction = run.data_fraction;
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
      return "ablation";
    case RunRole::study:
      break;
  }
  return "study";
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
    throw InputError(fmt::format("--without {}: {}", part, guess_of(part, part_names())));
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
  if (request.runs.empty()) require_start(request);
  Plan plan;
  plan.command = request.command;
  plan.data = fs::absolute(find_data(request.data)).string();
  plan.set = request.set;
  plan.seeds = request.seeds;
  plan.judge_seed = *different.rbegin() + 1000;
  plan.trials = request.trials;
  plan.budget_seconds = request.budget_seconds;
  const CompareText text = read_text_of(request, plan.data);
  const Training training = request.study          ? plan_study(plan, request, text, device)
                            : request.runs.empty() ? plan_training(plan, request, text, device)
                                                   : plan_given(plan, request, text, device);
  const RunConfig& llada = training.llada;
  require_sequences(
      split_tokens(text.tokens, llada.training.train_fraction, llada.training.val_fraction),
      llada.training, llada.model.context, true);
  plan_evaluation(plan, request.without, llada, text.size(), training.step_seconds);
  return plan;
}

}  // namespace masque
