// attention: out_i = Σ_j keep_ij/(1 − p)·softmax_j(q_i·k_j/√HS)·v_j over the keys j that row i may
// see: j < length of its sequence, and j ≤ i where causal. Fused: only the log-sum-exp is kept, so
// memory is linear in T; the backward recomputes the probabilities. Rows at or past their length
// attend to nothing: out is 0, lse is 0, and no gradient flows. Does 4·B·NH·T²·HS flops
// forward, 2.5 times that backward (half of both where causal); moves 4·B·T·NH·HS of Real forward,
// 8 backward. Dropout is Philox at {(head·T + i)·T + j, global row, step, stream}. Vaswani et al.
// 2017, arXiv:1706.03762; Dao et al. 2022, arXiv:2205.14135
#pragma once

#include <cstdint>

#include "kernels/backend.h"
#include "kernels/step_state.h"

namespace masque {

template <class Real>
struct AttentionForward {
  Real* out;                    // (B,T,NH,HS)
  stat_t<Real>* lse;            // (B,NH,T) kept for backward
  const Real* qkv;              // (B,T,3,NH,HS)
  const std::int32_t* lengths;  // (B) in 0…T, or null: all T
  bool causal;
  const StepState* state;  // unread where p is 0
  std::uint32_t stream;
  double p;  // probability of dropping an attention weight, in [0, 1)
  std::int64_t B, T, NH, HS;
};

template <class Real>
struct AttentionBackward {
  Real* dqkv;                   // (B,T,3,NH,HS) written whole
  const Real* dout;             // (B,T,NH,HS)
  const Real* out;              // (B,T,NH,HS)
  const stat_t<Real>* lse;      // (B,NH,T)
  const Real* qkv;              // (B,T,3,NH,HS)
  const std::int32_t* lengths;  // (B), or null
  bool causal;
  const StepState* state;
  std::uint32_t stream;
  double p;
  std::int64_t B, T, NH, HS;
};

template <class Real>
void attention_forward(On<Cpu, Real> on, const AttentionForward<Real>& args);
template <class Real>
void attention_backward(On<Cpu, Real> on, const AttentionBackward<Real>& args);
template <class Real>
void attention_forward(On<Cuda, Real> on, const AttentionForward<Real>& args);
template <class Real>
void attention_backward(On<Cuda, Real> on, const AttentionBackward<Real>& args);

}  // namespace masque
