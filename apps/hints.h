// What a configuration is probably not meant to be.
#pragma once

#include <string>
#include <vector>

#include "models/config.h"

namespace masque {

// A line for each: the reason and the mend. config.data says how long the text is.
std::vector<std::string> hints(const RunConfig& config);

}  // namespace masque
