// AdamW over the flat parameter arenas: clip by global norm, decay matrices only, optional EMA of
// the weights.
#pragma once

#include <map>
#include <string>

#include "core/parameter.h"
#include "kernels/step_state.h"
#include "models/config.h"

namespace masque {

class Optimizer {
 public:
  Optimizer(ParameterStore& parameters, const TrainingConfig& config);

  // Clips and applies the gradients; state (on the device) gives step and lr and receives
  // grad_norm, clip_scale and finite. Nothing changes where a gradient is not finite.
  // skipped (device) counts such updates; or null.
  void update(StepState* state, std::int64_t* skipped = nullptr);

  // The arenas by name, laid out as the parameters: "m", "v", and "ema" where it is on.
  std::map<std::string, void*> arenas() const;
  // Starts the EMA from the weights as they are.
  void start_ema();

 private:
  ParameterStore& parameters_;
  TrainingConfig config_;
  Memory m_, v_, ema_;
};

}  // namespace masque
