#include "apps/weights.h"

namespace masque {

void add_weights_options(CLI::App& command, WeightsChoice& choice) {
  command.add_option("--checkpoint", choice.checkpoint, "Least loss on val, newest, or a step")
      ->type_name("best|last|STEP")
      ->capture_default_str();
  command.add_flag("--ema", choice.ema, "The average of its weights, of a run trained with one");
}

Run load_run(const std::string& folder, const WeightsChoice& choice, const Device& device) {
  Run run = load_run(folder, choice.checkpoint, device);
  if (choice.ema) use_ema(run);
  return run;
}

std::string weights_of(const Run& run) {
  return run.checkpoint + (run.averaged ? " averaged" : "");
}

}  // namespace masque
