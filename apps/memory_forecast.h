// How much memory a training will have taken by its end.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "models/memory_plan.h"

namespace masque {

struct MemoryForecast {
  std::vector<MemoryPiece> pieces;
  std::size_t host = 0,
              gpu = 0;  // the process's peak (VmHWM); of the device, but for kernels' scratch
};

// before: with the text read and no trainer made, so that what kernels take as scratch is not yet
// known. running: after a step or more. evaluated: after a full forward of an evaluation, too.
enum class ForecastAt { before, running, evaluated };
MemoryForecast forecast_memory(const RunConfig& config, const Device& device, ForecastAt at);

// Error where this machine, or the container's limit, has not what is still to be taken.
void require_memory(const MemoryForecast& before);

std::string describe(const MemoryForecast& forecast);  // "about 310.0 MiB of memory"
std::string to_table(const MemoryForecast& forecast);  // a line a piece, and the sum
nlohmann::ordered_json to_json(const MemoryForecast& forecast);

}  // namespace masque
