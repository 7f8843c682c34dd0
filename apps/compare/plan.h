// What a comparison will do, decided before it begins and kept in OUT/plan.json, so that whatever
// interrupts it, it goes on with the same.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "core/device.h"
#include "models/config.h"

namespace masque {

enum class RunRole { trial, headline, judge, ablation, study };
const char* name_of(RunRole role);

struct PlannedRun {
  std::string id;  // llada-1
  RunRole role = RunRole::headline;
  ObjectiveKind objective = ObjectiveKind::llada;
  std::uint64_t seed = 1;
  std::int64_t steps = 0;
  std::string group, setting;     // trial, ablation, study: what is varied, and to what
  double data_fraction = 1;       // study: of the train split
  std::int64_t epochs = 0;        // study: of that part
  std::vector<std::string> set;   // keys that differ from the headline's
  std::string weights = "model";  // or ema: what is evaluated
  std::string folder;             // the run's folder, relative to OUT, or of a run that was given
  bool given = false;             // trained already
};

// How much is evaluated.
struct EvaluationPlan {
  std::int64_t draws = 32;         // of nelbo, a window
  std::int64_t windows = 0;        // of the test split; 0: all
  std::int64_t chain_windows = 0;  // of those, for chains; 0: none
  std::int64_t mixture_orders = 16;
  std::int64_t texts = 0;               // of each set of samples; 0: none
  std::vector<std::int64_t> steps;      // of the front
  std::vector<std::string> strategies;  // of the front
};

struct Plan {
  std::string command, data, preset;
  std::vector<std::string> set;  // for every run
  std::vector<std::uint64_t> seeds;
  std::uint64_t judge_seed = 0;
  std::int64_t trials = 0;    // settings tried an objective
  double budget_seconds = 0;  // 0: none
  std::vector<PlannedRun> runs;
  std::vector<std::string> left_out;  // what the budget has no room for, or was switched off
  EvaluationPlan evaluation;
};

// What was asked for.
struct PlanRequest {
  std::string command, data, preset;  // preset "": quick, or what fits the budget
  std::vector<std::string> set;
  std::vector<std::uint64_t> seeds = {1, 2, 3};
  double budget_seconds = 0;
  std::int64_t trials = 0;
  std::vector<std::string> runs;     // trained already, instead of training
  std::string judge;                 // likewise
  std::vector<std::string> without;  // of part_names()
  // The data-constrained study instead: each fraction of the train split, for each number of
  // epochs.
  bool study = false;
  std::vector<double> fractions = {0.1, 1};
  std::vector<std::int64_t> epochs = {1, 4, 16, 64};
};

// What --without can switch off: chains, quality, ablations, and each group of ablations.
std::vector<std::string> part_names();

// Times a few steps of each objective where there is a budget. InputError for what cannot be done.
Plan make_plan(const PlanRequest& request, const Device& device);

// The complete configuration of a run; tuned: keys chosen by the trials of its objective.
RunConfig config_of(const Plan& plan, const PlannedRun& run, const std::vector<std::string>& tuned);

// Whether a list names it.
bool has(const std::vector<std::string>& list, const std::string& name);

nlohmann::json to_json(const Plan& plan);
// InputError where the file is not one.
Plan read_plan(const std::filesystem::path& file);

}  // namespace masque
