// layernorm: out = (x − mean)·rstd·weight + bias, per row.
// Moves: reads N·C of Real and 2C, writes N·C of Real and 2N statistics. Memory bound.
// Backward writes dx, adding what reaches x past the norm (the residual stream), and accumulates
// (+=) into dweight, dbias. Ba et al. 2016, arXiv:1607.06450
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace masque {

template <class Real>
struct LayernormForward {
  Real* out;                    // (N,C)
  stat_t<Real>* mean;           // (N) kept for backward
  stat_t<Real>* rstd;           // (N) kept for backward
  const Real* x;                // (N,C)
  const param_t<Real>* weight;  // (C)
  const param_t<Real>* bias;    // (C), or null
  double eps;
  std::int64_t N, C;
};

template <class Real>
struct LayernormBackward {
  Real* dx;                     // (N,C) written; may be dresidual itself
  param_t<Real>* dweight;       // (C) +=
  param_t<Real>* dbias;         // (C) +=, or null
  const Real* dout;             // (N,C)
  const Real* dresidual;        // (N,C) added into dx, or null
  const Real* x;                // (N,C)
  const stat_t<Real>* mean;     // (N)
  const stat_t<Real>* rstd;     // (N)
  const param_t<Real>* weight;  // (C)
  std::int64_t N, C;
};

template <class Real>
void layernorm_forward(On<Cpu, Real> on, const LayernormForward<Real>& args);
template <class Real>
void layernorm_backward(On<Cpu, Real> on, const LayernormBackward<Real>& args);
template <class Real>
void layernorm_forward(On<Cuda, Real> on, const LayernormForward<Real>& args);
template <class Real>
void layernorm_backward(On<Cuda, Real> on, const LayernormBackward<Real>& args);

}  // namespace masque
