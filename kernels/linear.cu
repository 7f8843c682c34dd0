#include "kernels/gpu.h"
#include "kernels/gpu_gemm.h"
#include "kernels/linear.h"

namespace masque {
namespace {

constexpr int kColumns = 32;         // of a block, a lane each
constexpr int kRowGroups = 8;        // warps of a block: each sums every 8th row
constexpr std::int64_t kRows = 256;  // of a block

// partial[chunk][o] = Σ over the chunk's rows of dout[n][o].
template <class Real>
__global__ void column_sums_kernel(float* partial, const Real* dout, std::int64_t N,
                                   std::int64_t OC) {
  GPU_SHARED(float, sums, [kRowGroups][kColumns]);
  const std::int64_t o = std::int64_t{blockIdx.x} * kColumns + threadIdx.x;
  const std::int64_t first = std::int64_t{blockIdx.y} * kRows;
  const std::int64_t end = first + kRows < N ? first + kRows : N;
  float sum = 0;
  if (o < OC) {
    for (std::int64_t n = first + threadIdx.y; n < end; n += kRowGroups) sum += dout[n * OC + o];
  }
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || o >= OC) return;
  for (int group = 1; group < kRowGroups; ++group) sum += sums[group][threadIdx.x];
  partial[blockIdx.y * OC + o] = sum;
}

// dbias += the chunks, in order.
__global__ void add_chunks_kernel(float* dbias, const float* partial, std::int64_t chunks,
                                  std::int64_t OC) {
  const std::int64_t o = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (o >= OC) return;
  float sum = 0;
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) sum += partial[chunk * OC + o];
  dbias[o] += sum;
}

template <class Real>
void add_column_sums(cudaStream_t stream, float* dbias, const Real* dout, std::int64_t N,
                     std::int64_t OC) {
  constexpr unsigned kThreads = 128;
  const unsigned chunks = blocks_for(N, kRows);
  auto* partial = static_cast<float*>(
      gpu_scratch(stream, sizeof(float) * chunks * static_cast<std::size_t>(OC)));
  launch({"column_sums", dim3(blocks_for(OC, kColumns), chunks), dim3(kColumns, kRowGroups)},
         stream, column_sums_kernel<Real>, partial, dout, N, OC);
  launch({"add_chunks", blocks_for(OC, kThreads), kThreads}, stream, add_chunks_kernel, dbias,
         partial, std::int64_t{chunks}, OC);
}

}  // namespace

template <class Real>
void linear_forward(On<Cuda, Real> on, const LinearForward<Real>& args) {
  gpu_gemm(on.stream, GpuGemm<Real, Real>{.c = args.out,
                                          .a = args.x,
                                          .b = args.weight,
                                          .bias = args.bias,
                                          .transpose_b = true,
                                          .M = args.N,
                                          .N = args.OC,
                                          .K = args.IC});
}

template <class Real>
void linear_backward(On<Cuda, Real> on, const LinearBackward<Real>& args) {
  if (args.dx != nullptr) {  // dx = dout · weight
    gpu_gemm(on.stream, GpuGemm<Real, Real>{.c = args.dx,
                                            .a = args.dout,
                                            .b = args.weight,
                                            .bias = nullptr,
                                            .M = args.N,
                                            .N = args.IC,
                                            .K = args.OC});
  }
  if (args.dweight != nullptr) {  // dweight += doutᵀ · x
    gpu_gemm(on.stream, GpuGemm<Real, float>{.c = args.dweight,
                                             .a = args.dout,
                                             .b = args.x,
                                             .bias = nullptr,
                                             .transpose_a = true,
                                             .accumulate = true,
                                             .M = args.OC,
                                             .N = args.IC,
                                             .K = args.N});
  }
  if (args.dbias != nullptr) add_column_sums(on.stream, args.dbias, args.dout, args.N, args.OC);
}

template void linear_forward(On<Cuda, float>, const LinearForward<float>&);
template void linear_forward(On<Cuda, bf16>, const LinearForward<bf16>&);
template void linear_backward(On<Cuda, float>, const LinearBackward<float>&);
template void linear_backward(On<Cuda, bf16>, const LinearBackward<bf16>&);

}  // namespace masque
