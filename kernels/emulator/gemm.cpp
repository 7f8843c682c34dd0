// gpu_gemm of an emulated build: the CPU's product, on the stream.
#include "kernels/gemm.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "kernels/emulator/runtime.h"
#include "kernels/gpu_gemm.h"

namespace masque {
namespace {

constexpr const char* kRecord = "emulated GPU\n";  // there is one algorithm for all products

std::vector<float> widened(const bf16* values, std::int64_t count) {
  return values == nullptr ? std::vector<float>() : std::vector<float>(values, values + count);
}

// The rows of a, one after the other.
template <class In, class Out>
std::vector<float> dense(const GpuGemm<In, Out>& args) {
  const std::int64_t rows = args.transpose_a ? args.K : args.M;
  const std::int64_t width = args.transpose_a ? args.M : args.K;
  const std::int64_t stride = args.a_stride == 0 ? width : args.a_stride;
  std::vector<float> a;
  for (std::int64_t row = 0; row < rows; ++row) {
    a.insert(a.end(), args.a + row * stride, args.a + row * stride + width);
  }
  return a;
}

void multiply(const GpuGemm<float, float>& args) {
  const std::vector<float> a = args.a_stride == 0 ? std::vector<float>() : dense(args);
  Gemm<float> product{.a = args.a, .b = args.b, .M = args.M, .N = args.N, .K = args.K};
  if (args.a_stride != 0) product.a = a.data();
  product.c = args.c;
  product.bias = args.bias;
  product.transpose_a = args.transpose_a;
  product.transpose_b = args.transpose_b;
  product.accumulate = args.accumulate;
  gemm(On<Cpu, float>{}, product);
}

template <class Out>
void multiply(const GpuGemm<bf16, Out>& args) {
  const std::vector<float> a = dense(args), b = widened(args.b, args.K * args.N);
  const std::vector<float> bias = widened(args.bias, args.N);
  std::vector<float> c(static_cast<std::size_t>(args.M * args.N));
  if (args.accumulate) std::copy_n(args.c, c.size(), c.begin());
  multiply({.c = c.data(),
            .a = a.data(),
            .b = b.data(),
            .bias = bias.empty() ? nullptr : bias.data(),
            .transpose_a = args.transpose_a,
            .transpose_b = args.transpose_b,
            .accumulate = args.accumulate,
            .M = args.M,
            .N = args.N,
            .K = args.K});
  std::transform(c.begin(), c.end(), args.c, [](float value) { return static_cast<Out>(value); });
}

template <class In, class Out>
void enqueue_product(cudaStream_t stream, const GpuGemm<In, Out>& args) {
  emulator::enqueue("gpu_gemm", stream, [args] { multiply(args); });
}

}  // namespace

void gpu_gemm(cudaStream_t stream, const GpuGemm<float, float>& args) {
  enqueue_product(stream, args);
}
void gpu_gemm(cudaStream_t stream, const GpuGemm<bf16, bf16>& args) {
  enqueue_product(stream, args);
}
void gpu_gemm(cudaStream_t stream, const GpuGemm<bf16, float>& args) {
  enqueue_product(stream, args);
}

std::string gpu_gemm_algorithms() {
  return kRecord;
}

bool gpu_gemm_use(const std::string& record) {
  return record == kRecord;
}

}  // namespace masque
