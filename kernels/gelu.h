// gelu: out = x/2 · (1 + tanh(√(2/π)·(x + 0.044715·x³))), elementwise.
// Moves: reads n and writes n of Real forward; reads 2n and writes n backward. Memory bound.
// Hendrycks and Gimpel 2016, arXiv:1606.08415 (the tanh form, as GPT-2 uses)
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace masque {

template <class Real>
struct GeluForward {
  Real* out;      // (n)
  const Real* x;  // (n)
  std::int64_t n;
};

template <class Real>
struct GeluBackward {
  Real* dx;          // (n) written; may be dout itself
  const Real* dout;  // (n)
  const Real* x;     // (n)
  std::int64_t n;
};

template <class Real>
void gelu_forward(On<Cpu, Real> on, const GeluForward<Real>& args);
template <class Real>
void gelu_backward(On<Cpu, Real> on, const GeluBackward<Real>& args);
template <class Real>
void gelu_forward(On<Cuda, Real> on, const GeluForward<Real>& args);
template <class Real>
void gelu_backward(On<Cuda, Real> on, const GeluBackward<Real>& args);

}  // namespace masque
