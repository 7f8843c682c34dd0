// rmsnorm: out = x·rstd·weight, rstd = 1/√(mean(x²) + eps), per row.
// Moves: reads N·C of Real and C, writes N·C of Real and N statistics. Memory bound.
// Backward writes dx, adding what reaches x past the norm (the residual stream), and accumulates
// (+=) into dweight. Zhang and Sennrich 2019, arXiv:1910.07467
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace masque {

template <class Real>
struct RmsnormForward {
  Real* out;                    // (N,C)
  stat_t<Real>* rstd;           // (N) kept for backward
  const Real* x;                // (N,C)
  const param_t<Real>* weight;  // (C)
  double eps;
  std::int64_t N, C;
};

template <class Real>
struct RmsnormBackward {
  Real* dx;                     // (N,C) written; may be dresidual itself
  param_t<Real>* dweight;       // (C) +=
  const Real* dout;             // (N,C)
  const Real* dresidual;        // (N,C) added into dx, or null
  const Real* x;                // (N,C)
  const stat_t<Real>* rstd;     // (N)
  const param_t<Real>* weight;  // (C)
  std::int64_t N, C;
};

template <class Real>
void rmsnorm_forward(On<Cpu, Real> on, const RmsnormForward<Real>& args);
template <class Real>
void rmsnorm_backward(On<Cpu, Real> on, const RmsnormBackward<Real>& args);
template <class Real>
void rmsnorm_forward(On<Cuda, Real> on, const RmsnormForward<Real>& args);
template <class Real>
void rmsnorm_backward(On<Cuda, Real> on, const RmsnormBackward<Real>& args);

}  // namespace masque
