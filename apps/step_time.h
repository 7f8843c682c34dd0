// How long a training step takes here.
#pragma once

#include <cstdint>
#include <optional>

#include "models/trainer.h"

namespace masque {

// Runs steps for about a second, after two that find out how much memory is needed and touch it;
// never more than the run has. Waits for the device.
double seconds_per_step(Trainer& trainer);

// The same of a training that goes on: told of each step, it knows once, after a second of steps.
class StepClock {
 public:
  // waited: the device was waited for. The seconds a step takes, where they are known now.
  std::optional<double> note(double seconds, bool waited);

 private:
  std::int64_t steps_ = 0;
  double seconds_ = 0;
  bool told_ = false;
};

}  // namespace masque
