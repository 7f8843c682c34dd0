// next_token: what random_mask is to LLaDA, to AR. inputs = first_token, x_1 … x_{T−1}; targets =
// x_1 … x_T; every real token weighs state.normaliser. Without a first token (−1) rows hold T + 1
// tokens: inputs x_0 … x_{T−1}. input_masking, for the ablation of AR under LLaDA's noise: each
// input but [START] is [MASK] with that probability, by the draws of random_mask (Philox at
// {position/4, global row, step, stream mask}, lane position % 4). Moves: reads N ids, writes 2N
// ids and N weights. Memory bound.
#pragma once

#include <cstdint>

#include "kernels/backend.h"
#include "kernels/step_state.h"

namespace masque {

template <class Real>
struct NextToken {
  std::int32_t* inputs;         // (B,T)
  std::int32_t* targets;        // (B,T)
  stat_t<Real>* weights;        // (B,T) 0 past a row's length
  const std::int32_t* tokens;   // (B,T), or (B,T+1) without a first token
  const std::int32_t* lengths;  // (B) real targets of each row; or null: all T
  const StepState* state;       // normaliser; for input_masking seed, step, first_row
  std::int32_t first_token;     // [START], or −1: none
  double input_masking;         // in [0, 1)
  std::int32_t mask_token;
  std::int64_t B, T;
};

template <class Real>
void next_token(On<Cpu, Real> on, const NextToken<Real>& args);
template <class Real>
void next_token(On<Cuda, Real> on, const NextToken<Real>& args);

}  // namespace masque
