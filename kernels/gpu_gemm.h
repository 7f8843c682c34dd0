// gpu_gemm: C = op(A)·op(B) on a GPU, plus C itself where it accumulates, plus a bias in each row,
// summed in f32. All matrices are row-major, and dense but for a. Through cublasLt, whose algorithm
// is chosen by measurement at the first product of a shape and then kept (kernels/cublas/); in
// emulated builds by the CPU's gemm. Does 2·M·N·K flops.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/backend.h"
#include "kernels/bf16.h"

namespace masque {

template <class In, class Out>
struct GpuGemm {
  Out* c;          // (M,N) written, or += where accumulate
  const In* a;     // (M,K), or (K,M) where transpose_a
  const In* b;     // (K,N), or (N,K) where transpose_b
  const In* bias;  // (N) added to every row, or null; not with accumulate
  bool transpose_a = false;
  bool transpose_b = false;
  bool accumulate = false;
  std::int64_t M, N, K;
  std::int64_t a_stride = 0;  // from row to row of a; 0: dense
};

void gpu_gemm(CUstream_st* stream, const GpuGemm<float, float>& args);
void gpu_gemm(CUstream_st* stream, const GpuGemm<bf16, bf16>& args);
void gpu_gemm(CUstream_st* stream, const GpuGemm<bf16, float>& args);  // weight gradients

// The algorithms chosen so far, to be recorded with a run: a line that names GPU and library, then
// a line a product.
std::string gpu_gemm_algorithms();
// Takes over such a record. False, and nothing changes, where it is of another GPU or library.
bool gpu_gemm_use(const std::string& record);

}  // namespace masque
