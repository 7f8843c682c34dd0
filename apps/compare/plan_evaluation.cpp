#include "apps/compare/plan_evaluation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/compare/study.h"
#include "models/dataset.h"
#include "models/strategy.h"
#include "models/utf8.h"

namespace masque {
namespace {

// Of a budget, over all seeds. The rest beyond training is for what takes longer than measured.
constexpr double kNelboShare = 0.07, kChainShare = 0.07, kQualityShare = 0.12;
constexpr double kStudyShare = 0.2;   // for the likelihoods of a study, which are all it evaluates
constexpr double kForwardsAStep = 3;  // a training step takes as long as three forwards
constexpr std::int64_t kMostDraws = 128, kLeastDraws = 8, kStudyDraws = 32;
constexpr std::int64_t kLeastWindows = 64;
constexpr std::int64_t kMostChainWindows = 64, kLeastChainWindows = 4;
constexpr std::int64_t kMostTexts = 64, kLeastTexts = 8;
constexpr std::int64_t kOrders = 16;      // of the mixture
constexpr std::int64_t kOtherOrders = 3;  // the chosen one; twice as many on val, half as wide

// `tokens` a unit, as many units as fit, between least and most.
std::int64_t affordable(double seconds, double tokens_per_second, double tokens, std::int64_t least,
                        std::int64_t most) {
  const double units = std::clamp(seconds * tokens_per_second / tokens, static_cast<double>(least),
                                  static_cast<double>(most));
  return static_cast<std::int64_t>(units);
}

// Windows and draws of nelbo for these seconds a run. rate: tokens a second. Of a text too long for
// the least draws, a part.
void set_nelbo(EvaluationPlan& evaluation, double seconds, double rate, std::int64_t windows,
               std::int64_t T) {
  const std::int64_t scored =
      affordable(seconds, rate, static_cast<double>(T * kLeastDraws),
                 std::min(kLeastWindows, windows), std::max<std::int64_t>(1, windows));
  if (scored < windows) evaluation.windows = scored;
  evaluation.draws = 2 * affordable(seconds, rate, static_cast<double>(2 * scored * T),
                                    kLeastDraws / 2, evaluation.draws / 2);
}

}  // namespace

void plan_evaluation(Plan& plan, const std::vector<std::string>& without, const RunConfig& llada,
                     std::int64_t tokens, double step_seconds) {
  const TrainingConfig& training = llada.training;
  const std::int64_t T = llada.model.context;
  EvaluationPlan& evaluation = plan.evaluation;
  evaluation.draws = kMostDraws;
  evaluation.chain_windows = kMostChainWindows;
  evaluation.mixture_orders = kOrders;
  evaluation.texts = kMostTexts;
  evaluation.strategies = strategy_names();
  for (std::int64_t steps = T; steps >= std::max<std::int64_t>(1, T / 16); steps /= 2) {
    evaluation.steps.push_back(steps);
  }
  const auto all = static_cast<double>(tokens);
  const double test = all * (1 - training.train_fraction - training.val_fraction);
  const auto windows = static_cast<std::int64_t>(test) / T;
  const double rate =  // tokens a second through the model; infinite without a budget
      kForwardsAStep * static_cast<double>(training.batch * T * training.accumulation) /
      step_seconds;
  if (is_study(plan)) {
    evaluation = {};
    evaluation.draws = kStudyDraws;
    const auto lladas = std::count_if(plan.runs.begin(), plan.runs.end(), [](const auto& run) {
      return run.objective == ObjectiveKind::llada;
    });
    if (plan.budget_seconds > 0) {
      const double seconds = kStudyShare * plan.budget_seconds / static_cast<double>(lladas);
      set_nelbo(evaluation, seconds, rate, windows, T);
    }
    return;
  }
  if (plan.budget_seconds > 0) {
    const double seeds = static_cast<double>(plan.seeds.size());
    const double chains = kChainShare * plan.budget_seconds / seeds;
    set_nelbo(evaluation, kNelboShare * plan.budget_seconds / seeds, rate, windows, T);
    evaluation.chain_windows =
        affordable(chains, rate, static_cast<double>(T * T * (kOrders + kOtherOrders)),
                   kLeastChainWindows, kMostChainWindows);
    std::int64_t forwards = 0;
    for (const std::int64_t steps : evaluation.steps) forwards += steps;
    const auto strategies = static_cast<std::int64_t>(evaluation.strategies.size());
    evaluation.texts =
        affordable(kQualityShare * plan.budget_seconds, rate,
                   static_cast<double>(forwards * T * strategies), kLeastTexts, kMostTexts);
  }
  // Real text stands beside samples, as many of the same length.
  const double shortest = std::min(test, all * training.val_fraction);
  evaluation.texts = std::min(evaluation.texts, static_cast<std::int64_t>(shortest) / T);
  if (has(without, "chains")) {
    evaluation.chain_windows = 0;
    plan.left_out.emplace_back("chains: switched off");
  }
  const bool judged = std::any_of(plan.runs.begin(), plan.runs.end(),
                                  [](const PlannedRun& run) { return run.role == RunRole::judge; });
  if (has(without, "quality")) {
    evaluation.texts = 0;
    plan.left_out.emplace_back("quality: switched off");
  } else if (!judged) {
    plan.left_out.emplace_back("the AR judge: none was given");
  }
}

}  // namespace masque
