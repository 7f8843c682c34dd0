// What produced a run: for environment.json and --version.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "core/device.h"

namespace masque {

std::string version();  // "masque 0.1.0 (commit, compiler, build type)"
nlohmann::json environment(const Device& device);

}  // namespace masque
