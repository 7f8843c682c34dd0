// gather_rows: out[k] = x[rows[k]]. Inference computes the head only where logits are wanted.
// Moves: reads and writes K·C of Real. Memory bound.
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace masque {

template <class Real>
struct GatherRows {
  Real* out;                 // (K,C)
  const Real* x;             // (N,C)
  const std::int64_t* rows;  // (K) in 0…N−1
  std::int64_t K, C;
};

template <class Real>
void gather_rows(On<Cpu, Real> on, const GatherRows<Real>& args);
template <class Real>
void gather_rows(On<Cuda, Real> on, const GatherRows<Real>& args);

}  // namespace masque
