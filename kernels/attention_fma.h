// Attention in f32 arithmetic, for any type and head sizes up to 256: f32 runs, and what the
// tensor cores do not take.
#pragma once

#include "kernels/attention.h"

namespace masque {

template <class Real>
void attention_fma_forward(On<Cuda, Real> on, const AttentionForward<Real>& args);
template <class Real>
void attention_fma_backward(On<Cuda, Real> on, const AttentionBackward<Real>& args);

}  // namespace masque
