// swiglu: out = silu(gate)·up, silu(g) = g/(1 + e^−g); gate and up packed side by side in each row.
// Moves: reads 2·N·F and writes N·F of Real forward; reads 3·N·F and writes 2·N·F backward. Memory
// bound. Shazeer 2020, arXiv:2002.05202
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace masque {

template <class Real>
struct SwigluForward {
  Real* out;            // (N,F)
  const Real* gate_up;  // (N,2F) gate, then up
  std::int64_t N, F;
};

template <class Real>
struct SwigluBackward {
  Real* dgate_up;       // (N,2F) written
  const Real* dout;     // (N,F)
  const Real* gate_up;  // (N,2F)
  std::int64_t N, F;
};

template <class Real>
void swiglu_forward(On<Cpu, Real> on, const SwigluForward<Real>& args);
template <class Real>
void swiglu_backward(On<Cpu, Real> on, const SwigluBackward<Real>& args);
template <class Real>
void swiglu_forward(On<Cuda, Real> on, const SwigluForward<Real>& args);
template <class Real>
void swiglu_backward(On<Cuda, Real> on, const SwigluBackward<Real>& args);

}  // namespace masque
