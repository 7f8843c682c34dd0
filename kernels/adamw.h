// adamw: one update of a flat arena of parameters, in place; g = clip_scale·grad,
//   m ← β1·m + (1 − β1)·g,  v ← β2·v + (1 − β2)·g²,
//   w ← w − lr·(m̂/(√v̂ + eps) + decay·w), m̂ = m/(1 − β1^k), v̂ = v/(1 − β2^k), k = step + 1.
// The first n_decay parameters (matrices) decay, the rest do not. Nothing changes where
// state.finite is 0. Moves: 28 bytes a parameter in f32 (reads g, m, v, w; writes m, v, w), 4 more
// with EMA read and written. Loshchilov and Hutter 2017, arXiv:1711.05101
#pragma once

#include <cstdint>

#include "kernels/backend.h"
#include "kernels/step_state.h"

namespace masque {

template <class Real>
struct AdamW {
  param_t<Real>* master;      // (n)
  Real* compute;              // (n) the activation-type copy, or null where master serves
  param_t<Real>* m;           // (n)
  param_t<Real>* v;           // (n)
  param_t<Real>* ema;         // (n) ← ema_decay·ema + (1 − ema_decay)·w, or null
  const param_t<Real>* grad;  // (n)
  const StepState* state;     // step, lr, clip_scale, finite
  double beta1, beta2, eps, decay, ema_decay;
  std::int64_t n, n_decay;
};

template <class Real>
void adamw(On<Cpu, Real> on, const AdamW<Real>& args);
template <class Real>
void adamw(On<Cuda, Real> on, const AdamW<Real>& args);

}  // namespace masque
