// linear: out = x · weightᵀ + bias, weight stored (out, in) as PyTorch's Linear does.
// Does 2·N·IC·OC flops forward, twice that backward. Compute bound.
// Backward writes dx and accumulates (+=) into dweight, dbias, those that are not null. On the CPU
// the work is cut into blocks fixed by the shape, so that no bit depends on the number of threads.
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace masque {

template <class Real>
struct LinearForward {
  Real* out;           // (N,OC)
  const Real* x;       // (N,IC)
  const Real* weight;  // (OC,IC)
  const Real* bias;    // (OC), or null
  std::int64_t N, IC, OC;
};

template <class Real>
struct LinearBackward {
  Real* dx;                // (N,IC) written, or null where no one needs it
  param_t<Real>* dweight;  // (OC,IC) +=, or null
  param_t<Real>* dbias;    // (OC) +=, or null
  const Real* dout;        // (N,OC)
  const Real* x;           // (N,IC)
  const Real* weight;      // (OC,IC)
  std::int64_t N, IC, OC;
};

template <class Real>
void linear_forward(On<Cpu, Real> on, const LinearForward<Real>& args);
template <class Real>
void linear_backward(On<Cpu, Real> on, const LinearBackward<Real>& args);
template <class Real>
void linear_forward(On<Cuda, Real> on, const LinearForward<Real>& args);
template <class Real>
void linear_backward(On<Cuda, Real> on, const LinearBackward<Real>& args);

}  // namespace masque
