// Which runs a comparison trains, or takes.
#pragma once

#include <string>
#include <vector>

#include "apps/compare/plan.h"

namespace masque {

// A preset with further keys, complete.
RunConfig base_config(const std::string& preset_name, ObjectiveKind objective,
                      const std::vector<std::string>& set);

// Adds a run that is trained, in a folder of its id.
void add_run(Plan& plan, PlannedRun run);
// Fills plan.runs with everything that is trained, steps left open: trials, headline, judge,
// ablations.
void add_runs(Plan& plan, const PlanRequest& request);
// Leaves the ablations out again, and says why.
void drop_ablations(Plan& plan, const std::string& why);
// Fills plan.runs and plan.seeds with the runs that were given. InputError where they do not
// compare. tokens: of the text.
void take_runs(Plan& plan, const PlanRequest& request, std::int64_t tokens);

}  // namespace masque
