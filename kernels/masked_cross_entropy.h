// masked_cross_entropy: nll = −log softmax(logits)[target] per position, loss = Σ weight·nll, over
// the vocabulary less its excluded entries. One pass writes nll and the gradient of the loss, in
// place of the logits where asked; probabilities are never stored. A position of weight 0 costs
// nothing: nll 0, gradient 0, target unread. Moves: reads N·V and writes N·V of Real for the
// positions that weigh. Memory bound.
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace masque {

template <class Real>
struct MaskedCrossEntropy {
  double* loss;                    // (1) += Σ weight·nll, in an order fixed by the shape
  std::int64_t* counts = nullptr;  // (2) += positions that weigh, those of them correct; or null
  stat_t<Real>* nll;               // (N)
  std::int32_t* correct;           // (N) 1 where the most probable entry is the target; or, without
                                   // counts, null
  Real* dlogits;                 // (N,V) written, may be logits itself; or null: no gradient wanted
  const Real* logits;            // (N,V)
  const std::int32_t* targets;   // (N) never an excluded entry where the weight is not 0
  const stat_t<Real>* weights;   // (N)
  const std::uint8_t* excluded;  // (V) 1: logit −∞; or null
  std::int64_t N, V;
};

template <class Real>
void masked_cross_entropy(On<Cpu, Real> on, const MaskedCrossEntropy<Real>& args);
template <class Real>
void masked_cross_entropy(On<Cuda, Real> on, const MaskedCrossEntropy<Real>& args);

}  // namespace masque
