// gpu_gemm through cublasLt. A row-major C is the column-major Cᵀ = op(B)ᵀ·op(A)ᵀ, so cublasLt's
// first operand is our b.
#include "kernels/gpu_gemm.h"

#include <cublasLt.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/cublas/algorithm_cache.h"
#include "kernels/gpu.h"

namespace masque {
namespace {

constexpr std::size_t kWorkspace = std::size_t{32} << 20;
constexpr int kCandidates = 16;
constexpr int kWarmups = 2, kRepeats = 10;

void check(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(std::string("cublasLt: ") + call + ": " + cublasLtGetStatusString(status));
}
#define CUBLAS_CHECK(call) check((call), #call)

// cublasLt's descriptors, destroyed with their scope.
template <class Handle, cublasStatus_t (*destroy)(Handle)>
class Owned {
 public:
  Owned() = default;
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() { destroy(handle_); }
  Handle* address() { return &handle_; }
  operator Handle() const { return handle_; }

 private:
  Handle handle_ = nullptr;
};
using Operation = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

template <class Real>
constexpr cudaDataType_t kType = std::is_same_v<Real, bf16> ? CUDA_R_16BF : CUDA_R_32F;

// The largest power of two, at most 256, that divides both an address and a row.
std::uint32_t alignment_of(const void* address, std::int64_t row_bytes) {
  const auto bits = reinterpret_cast<std::uintptr_t>(address) |
                    static_cast<std::uintptr_t>(row_bytes) | std::uintptr_t{256};
  return static_cast<std::uint32_t>(bits & (~bits + 1));
}

// One product as cublasLt sees it.
template <class In, class Out>
struct Product {
  explicit Product(const GpuGemm<In, Out>& gemm) : args(gemm) {
    const auto op = [](bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; };
    const cublasOperation_t first_op = op(args.transpose_b), second_op = op(args.transpose_a);
    CUBLAS_CHECK(cublasLtMatmulDescCreate(operation.address(), CUBLAS_COMPUTE_32F, CUDA_R_32F));
    set(CUBLASLT_MATMUL_DESC_TRANSA, first_op);
    set(CUBLASLT_MATMUL_DESC_TRANSB, second_op);
    if (args.bias != nullptr) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, args.bias);
    }
    first_row = args.transpose_b ? args.K : args.N;
    const std::int64_t second_width = args.transpose_a ? args.M : args.K;
    second_row = args.a_stride == 0 ? second_width : args.a_stride;
    CUBLAS_CHECK(cublasLtMatrixLayoutCreate(first.address(), kType<In>, first_row,
                                            args.transpose_b ? args.N : args.K, first_row));
    CUBLAS_CHECK(cublasLtMatrixLayoutCreate(second.address(), kType<In>, second_width,
                                            args.transpose_a ? args.K : args.M, second_row));
    CUBLAS_CHECK(cublasLtMatrixLayoutCreate(result.address(), kType<Out>, args.N, args.M, args.N));
  }

  // What decides on an algorithm, without spaces.
  std::string name() const {
    const auto size = [](std::int64_t value) { return std::to_string(value); };
    const auto alignments = aligned();
    return size(args.M) + "x" + size(args.N) + "x" + size(args.K) +
           (std::is_same_v<In, bf16> ? ",bf16" : ",f32") +
           (std::is_same_v<Out, bf16> ? ">bf16" : ">f32") + (args.transpose_a ? ",ta" : "") +
           (args.transpose_b ? ",tb" : "") +
           (args.a_stride != 0 ? ",stride" + size(args.a_stride) : "") +
           (args.accumulate ? ",+=" : "") + (args.bias != nullptr ? ",bias" : "") + ",align" +
           std::to_string(alignments[0]) + "/" + std::to_string(alignments[1]) + "/" +
           std::to_string(alignments[2]);
  }

  std::array<std::uint32_t, 3> aligned() const {
    return {alignment_of(args.b, first_row * static_cast<std::int64_t>(sizeof(In))),
            alignment_of(args.a, second_row * static_cast<std::int64_t>(sizeof(In))),
            alignment_of(args.c, args.N * static_cast<std::int64_t>(sizeof(Out)))};
  }

  void run(cublasLtHandle_t handle, const cublasLtMatmulAlgo_t& algorithm, void* workspace, Out* to,
           cudaStream_t stream) const {
    const float one = 1, kept = args.accumulate ? 1 : 0;
    CUBLAS_CHECK(cublasLtMatmul(handle, operation, &one, args.b, first, args.a, second, &kept, to,
                                result, to, result, &algorithm, workspace, kWorkspace, stream));
  }

  // cublasLt's own ranking, best first.
  std::vector<cublasLtMatmulAlgo_t> candidates(cublasLtHandle_t handle) const {
    Preference preference;
    CUBLAS_CHECK(cublasLtMatmulPreferenceCreate(preference.address()));
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
      CUBLAS_CHECK(
          cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value));
    };
    const auto alignments = aligned();
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspace);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignments[0]);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignments[1]);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignments[2]);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignments[2]);
    // A long sum may be split, but its parts are added in f32.
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
           static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
    cublasLtMatmulHeuristicResult_t found[kCandidates];
    int count = 0;
    CUBLAS_CHECK(cublasLtMatmulAlgoGetHeuristic(handle, operation, first, second, result, result,
                                                preference, kCandidates, found, &count));
    std::vector<cublasLtMatmulAlgo_t> algorithms;
    for (int i = 0; i < count; ++i) {
      if (found[i].state == CUBLAS_STATUS_SUCCESS) algorithms.push_back(found[i].algo);
    }
    return algorithms;
  }

  template <class Value>
  void set(cublasLtMatmulDescAttributes_t attribute, const Value& value) {
    CUBLAS_CHECK(cublasLtMatmulDescSetAttribute(operation, attribute, &value, sizeof value));
  }

  const GpuGemm<In, Out>& args;
  Operation operation;
  Layout first, second, result;
  std::int64_t first_row = 0, second_row = 0;
};

// The products of one device.
class Products {
 public:
  Products() {
    CUBLAS_CHECK(cublasLtCreate(&handle_));
    GPU_CHECK(cudaMalloc(&workspace_, kWorkspace));
  }

  template <class In, class Out>
  void run(cudaStream_t stream, const GpuGemm<In, Out>& args) {
    const Product<In, Out> product(args);
    const std::string name = product.name();
    auto algorithm = cache_.find(name);
    if (!algorithm) {
      algorithm = fastest(stream, product, name);
      cache_.add(name, *algorithm);
    }
    product.run(handle_, *algorithm, workspace_, args.c, stream);
  }

  std::string record() const { return cache_.record(); }
  bool use(const std::string& record) { return cache_.use(record); }

 private:
  // Times the candidates on the operands themselves, into memory of its own.
  template <class In, class Out>
  cublasLtMatmulAlgo_t fastest(cudaStream_t stream, const Product<In, Out>& product,
                               const std::string& name) {
    cudaStreamCaptureStatus capturing{};
    GPU_CHECK(cudaStreamIsCapturing(stream, &capturing));
    if (capturing != cudaStreamCaptureStatusNone) {
      throw Error("gpu_gemm: " + name + " is new, but an algorithm cannot be chosen in a capture");
    }
    const std::vector<cublasLtMatmulAlgo_t> candidates = product.candidates(handle_);
    if (candidates.empty()) throw Error("gpu_gemm: cublasLt has no algorithm for " + name);
    const std::size_t bytes =
        sizeof(Out) * static_cast<std::size_t>(product.args.M * product.args.N);
    void* to = nullptr;
    cudaEvent_t begin = nullptr, end = nullptr;
    GPU_CHECK(cudaMalloc(&to, bytes));
    GPU_CHECK(cudaMemsetAsync(to, 0, bytes, stream));
    GPU_CHECK(cudaEventCreate(&begin));
    GPU_CHECK(cudaEventCreate(&end));
    cublasLtMatmulAlgo_t best = candidates.front();
    float least = std::numeric_limits<float>::infinity();
    for (const cublasLtMatmulAlgo_t& candidate : candidates) {
      const auto repeat = [&](int times) {
        for (int i = 0; i < times; ++i) {
          product.run(handle_, candidate, workspace_, static_cast<Out*>(to), stream);
        }
      };
      repeat(kWarmups);
      GPU_CHECK(cudaEventRecord(begin, stream));
      repeat(kRepeats);
      GPU_CHECK(cudaEventRecord(end, stream));
      GPU_CHECK(cudaEventSynchronize(end));
      float milliseconds = 0;
      GPU_CHECK(cudaEventElapsedTime(&milliseconds, begin, end));
      if (milliseconds < least) {
        least = milliseconds;
        best = candidate;
      }
    }
    GPU_CHECK(cudaEventDestroy(begin));
    GPU_CHECK(cudaEventDestroy(end));
    GPU_CHECK(cudaFree(to));
    return best;
  }

  cublasLtHandle_t handle_ = nullptr;  // lives as long as the process
  void* workspace_ = nullptr;
  AlgorithmCache cache_;
};

Products& products() {
  static Products* products = new Products;
  return *products;
}

}  // namespace

void gpu_gemm(cudaStream_t stream, const GpuGemm<float, float>& args) {
  products().run(stream, args);
}
void gpu_gemm(cudaStream_t stream, const GpuGemm<bf16, bf16>& args) {
  products().run(stream, args);
}
void gpu_gemm(cudaStream_t stream, const GpuGemm<bf16, float>& args) {
  products().run(stream, args);
}

std::string gpu_gemm_algorithms() {
  return products().record();
}

bool gpu_gemm_use(const std::string& record) {
  return products().use(record);
}

}  // namespace masque
