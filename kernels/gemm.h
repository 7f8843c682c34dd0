// gemm: C = op(A)·op(B), plus C itself where it accumulates, plus a bias in each row. All matrices
// are dense and row-major. Does 2·M·N·K flops, summed in f32 (f64 for f64). Each number of C is
// computed by one thread, in an order fixed by the shape alone: no bit depends on the number of
// threads. CPU only: a GPU has cublasLt (kernels/gpu_gemm.h).
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace masque {

template <class Real>
struct Gemm {
  Real* c = nullptr;              // (M,N) written
  param_t<Real>* wide = nullptr;  // or this, written, or += where accumulate
  const Real* a;                  // (M,K), or (K,M) where transpose_a
  const Real* b;                  // (K,N), or (N,K) where transpose_b
  const Real* bias = nullptr;     // (N) added to every row, or null; not with accumulate
  bool transpose_a = false;
  bool transpose_b = false;
  bool accumulate = false;
  std::int64_t M, N, K;
};

// A of as many rows at most, times a transposed B, is multiplied with the weights where they lie.
// Its sums are taken in another order, and may end in other bits, than those of more rows.
inline constexpr std::int64_t kThinRows = 16;

template <class Real>
void gemm(On<Cpu, Real> on, const Gemm<Real>& args);

}  // namespace masque
