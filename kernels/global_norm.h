// global_norm: the l2 norm of all gradients, and what clipping makes of it, into the step's state:
// grad_norm = ‖g‖, clip_scale = min(1, clip/‖g‖) (1 where clip is 0: off), finite = whether ‖g‖ is.
// Summed in double over chunks fixed by n, so that no bit depends on the number of threads.
// Moves: reads n of param_t. Memory bound.
// Pascanu et al. 2013, arXiv:1211.5063
#pragma once

#include <cstdint>

#include "kernels/backend.h"
#include "kernels/step_state.h"

namespace masque {

template <class Real>
struct GlobalNorm {
  StepState* state;                 // grad_norm, clip_scale, finite are written
  std::int64_t* skipped = nullptr;  // += 1 where not finite: the update is skipped; or null
  const param_t<Real>* grad;        // (n)
  double clip;
  std::int64_t n;
};

template <class Real>
void global_norm(On<Cpu, Real> on, const GlobalNorm<Real>& args);
template <class Real>
void global_norm(On<Cuda, Real> on, const GlobalNorm<Real>& args);

}  // namespace masque
