// What varies from step to step, in device memory, so that a captured step replays with fresh
// values.
#pragma once

#include <cstdint>

namespace masque {

struct StepState {
  std::uint64_t seed = 0;       // keys every random draw of the run
  std::uint32_t step = 0;       // updates applied before this one
  std::uint32_t first_row = 0;  // of this micro-batch within the effective batch (K·B rows)
  double normaliser = 1;        // of the loss: 1/Σ scored tokens of the effective batch
  double lr = 0;                // learning rate of this update
  double grad_norm = 0;         // written by global_norm: l2 norm before clipping
  double clip_scale = 1;        // written by global_norm: what AdamW multiplies gradients by
  std::int32_t finite = 1;      // written by global_norm: 0 where a gradient is not finite
};

}  // namespace masque
