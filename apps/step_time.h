// How long a training step takes here.
#pragma once

#include "models/trainer.h"

namespace masque {

// Runs steps for about a second, after two that find out how much memory is needed and touch it;
// never more than the run has. Waits for the device.
double seconds_per_step(Trainer& trainer);

}  // namespace masque
