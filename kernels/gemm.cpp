#include "kernels/gemm.h"

#include <algorithm>

#include "kernels/backend.h"

#ifdef MASQUE_ONEDNN
#include <dnnl.h>

#include <string>
#endif

namespace masque {

GemmBlocks gemm_blocks(std::int64_t M, std::int64_t N) {
  // Tall products (activations) are cut by rows alone. Small ones (weight gradients, whose sum is
  // long) are cut both ways, so that they give a dozen tasks.
  constexpr std::int64_t tall = 2048;
  if (M >= tall) return {128, N};
  return {M < 256 ? 32 : 64, std::max<std::int64_t>(64, (N / 4 + 63) / 64 * 64)};
}

#ifdef MASQUE_ONEDNN
namespace {

dnnl_status_t multiply_block(const Gemm<float>& args, std::int64_t m0, std::int64_t n0,
                             std::int64_t M, std::int64_t N) {
  float* c = args.c + m0 * args.N + n0;
  if (args.bias) {
    for (std::int64_t m = 0; m < M; ++m) std::copy_n(args.bias + n0, N, c + m * args.N);
  }
  const float beta = args.accumulate || args.bias ? 1.0f : 0.0f;
  const std::int64_t a_stride = args.transpose_a ? args.M : args.K;
  const std::int64_t b_stride = args.transpose_b ? args.K : args.N;
  return dnnl_sgemm(args.transpose_a ? 'T' : 'N', args.transpose_b ? 'T' : 'N', M, N, args.K, 1.0f,
                    args.a + (args.transpose_a ? m0 : m0 * a_stride), a_stride,
                    args.b + (args.transpose_b ? n0 * b_stride : n0), b_stride, beta, c, args.N);
}

}  // namespace

void gemm(const Gemm<float>& args) {
  if (args.M == 0 || args.N == 0 || args.K == 0) return gemm_packed(args);
  const GemmBlocks blocks = gemm_blocks(args.M, args.N);
  const std::int64_t across = (args.N + blocks.columns - 1) / blocks.columns;
  const std::int64_t tasks = (args.M + blocks.rows - 1) / blocks.rows * across;
  int failed = dnnl_success;
  // Never an `if` clause here: oneDNN runs single-threaded only inside an active region.
#pragma omp parallel for schedule(static) reduction(max : failed)
  for (std::int64_t task = 0; task < tasks; ++task) {
    const std::int64_t m0 = task / across * blocks.rows;
    const std::int64_t n0 = task % across * blocks.columns;
    const int status = multiply_block(args, m0, n0, std::min(blocks.rows, args.M - m0),
                                      std::min(blocks.columns, args.N - n0));
    failed = std::max(failed, status);
  }
  if (failed != dnnl_success) {
    throw Error("gemm: oneDNN's dnnl_sgemm failed with status " + std::to_string(failed));
  }
}
#else
void gemm(const Gemm<float>& args) {
  gemm_packed(args);
}
#endif

void gemm(const Gemm<double>& args) {
  gemm_packed(args);
}

}  // namespace masque
