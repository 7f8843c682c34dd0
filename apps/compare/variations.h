// What a comparison varies: settings tried before the headline, the same for both objectives;
// ablations, each of which changes one thing; and what the data-constrained study sets side by
// side.
#pragma once

#include <string>
#include <vector>

#include "models/config.h"

namespace masque {

struct TrialSetting {
  std::string setting;
  std::vector<std::string> set;
};
const std::vector<TrialSetting>& trial_settings();  // in the order tried

struct Variation {
  ObjectiveKind objective;
  std::string group, id, setting;
  std::vector<std::string> set;
  std::string weights = "model";  // or ema: what is evaluated
};
const std::vector<Variation>& ablations();
// Of the data-constrained study (study.h): groups, and the settings tried within each.
const std::vector<Variation>& study_arms();

// Whether it would differ from `base`: a dropout of 0.1 is none where the base has it.
bool changes(const Variation& variation, const RunConfig& base);

}  // namespace masque
