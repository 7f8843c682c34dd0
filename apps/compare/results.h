// results.json of a comparison (docs/compare-format.md), put together from its parts.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "apps/compare/parts.h"
#include "apps/compare/plan.h"

namespace masque {

// Names of parts, each a file in OUT/parts.
std::string run_part(const PlannedRun& run);         // training
std::string likelihood_part(const PlannedRun& run);  // on the test split

// What is known from the beginning: keys data, baselines, environment and protocol's, as they are
// in results.json.
constexpr const char* kSetting = "setting";
constexpr const char* kOrder = "order";      // of best_orders
constexpr const char* kQuality = "quality";  // {"quality", "samples", "viewer"}
constexpr const char* kTuning = "tuning";    // by objective {"set", "setting", "best_val"}

// Parts that the plan has and that are not there.
std::vector<std::string> missing_parts(const Plan& plan, const Parts& parts);

nlohmann::json make_results(const Plan& plan, const Parts& parts);

}  // namespace masque
