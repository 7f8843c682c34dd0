// classifier_loss: logits = hidden · headᵀ, then masked_cross_entropy
// (kernels/masked_cross_entropy.h, whose rules hold here), and the gradient of hidden. Backward
// accumulates (+=) into dhead. On a GPU in bf16, for V ≤ 256 and C a multiple of 16, forward is one
// kernel: logits stay in f32 registers, and rows of weight 0 are not read. It moves: reads N·C and
// V·C a tile of rows, writes N·C and N·V of Real. Memory bound. Elsewhere it is linear,
// masked_cross_entropy in place, linear's dx. 4·N·C·V flops forward, half of it backward.
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace masque {

// Elements a row of dlogits has room for. The fused kernel pads rows to 16 bytes.
constexpr std::int64_t classifier_loss_room(std::int64_t V) {
  return (V + 7) / 8 * 8;
}

// In bf16 hidden, head, dhidden and dlogits start at multiples of 16 bytes.
template <class Real>
struct ClassifierLossForward {
  double* loss;                    // (1) += Σ weight·nll, in an order fixed by the shape
  std::int64_t* counts = nullptr;  // (2) += positions that weigh, those of them correct; or null
  stat_t<Real>* nll;               // (N)
  std::int32_t* correct;           // (N) 1 where the most probable entry is the target
  Real* dhidden;                   // (N,C) written; or null: no gradient wanted
  Real* dlogits;                   // (N,classifier_loss_room(V)) written, for the backward
  const Real* hidden;              // (N,C)
  const Real* head;                // (V,C)
  const std::int32_t* targets;     // (N) never an excluded entry where the weight is not 0
  const stat_t<Real>* weights;     // (N)
  const std::uint8_t* excluded;    // (V) 1: logit −∞; or null
  std::int64_t N, C, V;
};

template <class Real>
struct ClassifierLossBackward {
  param_t<Real>* dhead;  // (V,C) +=
  const Real* dlogits;   // as the forward left it
  const Real* hidden;    // (N,C)
  std::int64_t N, C, V;
};

template <class Real>
void classifier_loss_forward(On<Cpu, Real> on, const ClassifierLossForward<Real>& args);
template <class Real>
void classifier_loss_backward(On<Cpu, Real> on, const ClassifierLossBackward<Real>& args);
template <class Real>
void classifier_loss_forward(On<Cuda, Real> on, const ClassifierLossForward<Real>& args);
template <class Real>
void classifier_loss_backward(On<Cuda, Real> on, const ClassifierLossBackward<Real>& args);

}  // namespace masque
