#include "apps/compare/study.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "apps/compare/plan_runs.h"
#include "apps/compare/variations.h"
#include "core/check.h"

namespace masque {
namespace {

constexpr std::size_t kMostFractions = 6;  // report/report.css shows no more

std::int64_t steps_for(std::int64_t epochs, double tokens, const RunConfig& config) {
  const TrainingConfig& training = config.training;
  const auto a_step =
      static_cast<double>(training.batch * training.accumulation * config.model.context);
  return std::max<std::int64_t>(1, std::llround(static_cast<double>(epochs) * tokens / a_step));
}

void check_grid(const PlanRequest& request, const RunConfig& config, std::int64_t train_tokens) {
  const std::set<double> fractions(request.fractions.begin(), request.fractions.end());
  if (fractions.empty() || fractions.size() != request.fractions.size() ||
      *fractions.begin() <= 0 || *fractions.rbegin() > 1) {
    throw InputError(
        fmt::format("--fractions {}: give shares of the train split above 0 and at "
                    "most 1, each once, such as 0.1,1",
                    fmt::join(request.fractions, ",")));
  }
  if (fractions.size() > kMostFractions) {
    throw InputError(fmt::format("--fractions {}: give at most {}: the report shows no more",
                                 fmt::join(request.fractions, ","), kMostFractions));
  }
  const std::set<std::int64_t> epochs(request.epochs.begin(), request.epochs.end());
  if (epochs.empty() || epochs.size() != request.epochs.size() || *epochs.begin() < 1) {
    throw InputError(
        fmt::format("--epochs {}: give whole numbers from 1, each once, such as 1,4,16",
                    fmt::join(request.epochs, ",")));
  }
  const double least = *fractions.begin() * static_cast<double>(train_tokens);
  if (least < static_cast<double>(config.model.context)) {
    throw InputError(fmt::format(
        "--fractions {:g}: is {:.0f} of {} tokens, fewer than a window of {}: give a larger one",
        *fractions.begin(), least, train_tokens, config.model.context));
  }
}

}  // namespace

void add_study_runs(Plan& plan, const PlanRequest& request, std::int64_t train_tokens) {
  const RunConfig llada = base_config(plan.preset, ObjectiveKind::llada, plan.set);
  check_grid(request, llada, train_tokens);
  for (const double fraction : request.fractions) {
    const double tokens = fraction * static_cast<double>(train_tokens);
    for (const std::int64_t epochs : request.epochs) {
      for (const Variation& arm : study_arms()) {
        for (const std::uint64_t seed : plan.seeds) {
          PlannedRun run;
          run.id = fmt::format("study-{:g}-{}-{}-{}", fraction, epochs, arm.id, seed);
          run.role = RunRole::study;
          run.objective = arm.objective;
          run.seed = seed;
          run.group = arm.group;
          run.setting = arm.setting;
          run.set = arm.set;
          run.data_fraction = fraction;
          run.epochs = epochs;
          run.steps = steps_for(epochs, tokens, llada);
          add_run(plan, std::move(run));
        }
      }
    }
  }
  std::stable_sort(plan.runs.begin(), plan.runs.end(),
                   [](const auto& a, const auto& b) { return a.steps < b.steps; });
}

void fit_study(Plan& plan, const std::function<double(const PlannedRun&)>& seconds_of,
               double seconds) {
  std::map<std::pair<double, std::int64_t>, double> cells;
  double total = 0;
  for (const PlannedRun& run : plan.runs) {
    cells[{run.data_fraction, run.epochs}] += seconds_of(run);
    total += seconds_of(run);
  }
  while (total > seconds && !cells.empty()) {
    const auto costliest =
        std::max_element(cells.begin(), cells.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    const auto [fraction, epochs] = costliest->first;
    total -= costliest->second;
    plan.left_out.push_back(
        fmt::format("{} epochs of {:g} of the text: the budget has no room", epochs, fraction));
    std::erase_if(plan.runs, [cell = costliest->first](const PlannedRun& run) {
      return run.data_fraction == cell.first && run.epochs == cell.second;
    });
    cells.erase(costliest);
  }
  if (cells.empty()) {
    throw InputError(fmt::format(
        "--budget: {:.0f}s of it are for training, and no cell of the grid fits: give more time, "
        "fewer --epochs or a smaller --preset",
        seconds));
  }
}

bool is_study(const Plan& plan) {
  return plan.runs.front().role == RunRole::study;
}

}  // namespace masque
