// random_mask: LLaDA's forward process. Each row draws t = ε + (1 − ε)·u, each of its real
// positions is replaced by [MASK] with probability t, and weighs state.normaliser/t in the loss
// where it was. u of global row b of R rows: stratified (b + U)/R with one U a step; iid U_b;
// batch: one U for all. Draws are Philox at {element/4, global row, step, stream}, lane element %
// 4: stream mask for the positions (masked where word < threshold(t)); element 0 of stream
// mask_ratio for U, at row 0 but for iid. So bits are the same on every device, and K micro-batches
// draw the masks of one batch of K·B rows. Moves: reads N ids, writes N ids and N weights. Memory
// bound. Nie et al. 2025, arXiv:2502.09992, algorithm 1
#pragma once

#include <cstdint>

#include "kernels/backend.h"
#include "kernels/step_state.h"

namespace masque {

enum class TSampling { stratified, iid, batch };
enum class Weighting { inverse_t, none };  // none: normaliser alone, for the ablation

template <class Real>
struct RandomMask {
  std::int32_t* inputs;         // (B,T) tokens, masked
  stat_t<Real>* weights;        // (B,T) 0 where not masked
  const std::int32_t* tokens;   // (B,T)
  const std::int32_t* lengths;  // (B) positions at or past it are copied, weight 0; or null: all T
  const StepState* state;       // seed, step, first_row, normaliser
  TSampling sampling;
  Weighting weighting;
  double epsilon;           // smallest t, in (0, 1]
  std::int64_t total_rows;  // R of the effective batch
  std::int32_t mask_token;
  std::int32_t pad_token, start_token;  // never masked
  std::int64_t B, T;
};

template <class Real>
void random_mask(On<Cpu, Real> on, const RandomMask<Real>& args);
template <class Real>
void random_mask(On<Cuda, Real> on, const RandomMask<Real>& args);

}  // namespace masque
