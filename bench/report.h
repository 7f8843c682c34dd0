// What every report of masque-bench begins with.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "bench/ceilings.h"

namespace masque::bench {

// {"benchmark", "date", "machine", "ceilings"}; the caller adds its "results".
nlohmann::ordered_json report(const std::string& benchmark, const Device& device,
                              const Ceilings& ceilings);
// Two lines on stdout: where, how (`protocol`), and the ceilings.
void print_head(const Device& device, const Ceilings& ceilings, const std::string& protocol);

std::string percent(double share);         // "87%"
std::string mebibytes(std::size_t bytes);  // "12 MiB"

}  // namespace masque::bench
