// gemm: C = op(A)·op(B), plus C itself where it accumulates, plus a bias in each row. All matrices
// are dense and row-major. Does 2·M·N·K flops. f32 goes through oneDNN in builds that have it; f64,
// and f32 without it, through our own packed product. Either way the work is cut into blocks fixed
// by the shape alone, each computed by one thread: no bit depends on the number of threads.
#pragma once

#include <cstdint>

namespace masque {

template <class Real>
struct Gemm {
  Real* c;           // (M,N) written, or += where accumulate
  const Real* a;     // (M,K), or (K,M) where transpose_a
  const Real* b;     // (K,N), or (N,K) where transpose_b
  const Real* bias;  // (N) added to every row, or null; not with accumulate
  bool transpose_a = false;
  bool transpose_b = false;
  bool accumulate = false;
  std::int64_t M, N, K;
};

void gemm(const Gemm<float>& args);
void gemm(const Gemm<double>& args);

// Our own product whatever the build, so that tests can compare it with oneDNN's.
void gemm_packed(const Gemm<float>& args);
void gemm_packed(const Gemm<double>& args);

// Rows and columns of C that one task computes.
struct GemmBlocks {
  std::int64_t rows, columns;
};
GemmBlocks gemm_blocks(std::int64_t M, std::int64_t N);

}  // namespace masque
