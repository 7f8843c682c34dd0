// The built-in presets: apps/presets/*.json, each a flat list of the keys it sets.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "models/config.h"

namespace masque {

const std::map<std::string, std::string>& preset_files();  // name → JSON text
std::vector<std::string> preset_names();
// Presets describe AR; what only AR has is left out for LLaDA. InputError naming the nearest for an
// unknown one.
RunConfig preset(const std::string& name, ObjectiveKind objective);

}  // namespace masque
