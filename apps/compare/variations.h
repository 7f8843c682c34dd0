// What a comparison varies: settings tried before the headline, the same for both objectives, and
// ablations, each of which changes one thing.
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

// Whether it would differ from `base`: a dropout of 0.1 is none where the base has it.
bool changes(const Variation& variation, const RunConfig& base);

}  // namespace masque
