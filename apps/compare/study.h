// The data-constrained study: a part of the text and all of it, read once and again and again, by
// AR plain, AR regularised, AR with masked inputs, and LLaDA. Which of them makes most of little
// text, and from how many epochs on?
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>

#include "apps/compare/parts.h"
#include "apps/compare/plan.h"

namespace masque {

// Fills plan.runs with the grid, cheapest first, each run with its own number of steps and so its
// own schedule. train_tokens: of the whole train split. InputError for a grid that cannot be.
void add_study_runs(Plan& plan, const PlanRequest& request, std::int64_t train_tokens);
// Drops the costliest cells (fraction and epochs) until the rest fits, and says which. InputError
// where not one fits.
void fit_study(Plan& plan, const std::function<double(const PlannedRun&)>& seconds_of,
               double seconds);
bool is_study(const Plan& plan);

// `study` of results.json: a row a cell and group that is complete. Of a group's settings the one
// that is best on val, mean over seeds.
nlohmann::json study_rows(const Plan& plan, const Parts& parts);
// `crossings` of results.json, from those rows: from how many epochs on LLaDA's bound lies below a
// group of AR, to the end of the grid.
nlohmann::json study_crossings(const nlohmann::json& rows);

}  // namespace masque
