// How much of a comparison's time goes into likelihoods and samples.
#pragma once

#include <string>
#include <vector>

#include "apps/compare/plan.h"

namespace masque {

// Fills plan.evaluation. llada: a run's configuration; step_seconds: of a training step of it,
// read only where there is a budget. tokens: of the text. without: parts that are switched off.
void plan_evaluation(Plan& plan, const std::vector<std::string>& without, const RunConfig& llada,
                     std::int64_t tokens, double step_seconds);

}  // namespace masque
