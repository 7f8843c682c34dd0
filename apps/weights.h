// Which weights of a run a command takes: --checkpoint and --ema, of eval, sample and quality.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "models/run.h"

namespace masque {

struct WeightsChoice {
  std::string checkpoint = "best";  // or "last", or a step
  bool ema = false;
};
void add_weights_options(CLI::App& command, WeightsChoice& choice);

// InputError as of load_run and use_ema.
Run load_run(const std::string& folder, const WeightsChoice& choice, const Device& device);

// "step_500", or "step_500 averaged".
std::string weights_of(const Run& run);

}  // namespace masque
