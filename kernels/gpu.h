// The only door to CUDA. Under nvcc this is CUDA with the PTX that masque uses behind functions; in
// an emulated build (MASQUE_EMULATE) it is kernels/emulator/, which runs .cu files on the CPU.
//
// In a kernel: GPU_SHARED and SharedPieces for shared memory, load_as and store_as for vector
// access, mma_bf16, ldmatrix and cp.async below, and CUDA's own names for the rest. On the host:
// launch(), gpu_check() and the CUDA runtime's functions on streams of one's own (never the null
// stream).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/backend.h"
#include "kernels/bf16.h"

#ifdef MASQUE_EMULATE
#include "kernels/emulator/device_code.h"
#include "kernels/emulator/runtime.h"
#include "kernels/emulator/tensor_core.h"
#else
#include <cuda_runtime.h>
#endif

namespace masque {

// Error naming the call where CUDA reports a failure.
void gpu_check(cudaError_t code, const char* call);
#define GPU_CHECK(call) masque::gpu_check((call), #call)

std::string gpu_name();  // of the current device

struct GpuLimits {
  int multiprocessors;
  std::size_t shared_bytes;  // a block may have, dynamic and by opt-in
};
GpuLimits gpu_limits();  // of the current device

// Device memory for a kernel's partial results, undefined, of 256-byte alignment. The next call on
// the stream may give the same bytes: ask once a kernel function. It grows in eager steps; Error
// where it would have to in a capture. What a captured step was given stays its own.
void* gpu_scratch(cudaStream_t stream, std::size_t bytes);

// kGpuCounters zeros in device memory, for blocks that count each other; a kernel leaves zeros.
inline constexpr int kGpuCounters = 64;
unsigned* gpu_counters(cudaStream_t stream);

struct GpuLaunch {
  const char* name;  // of the kernel, for messages and traces
  dim3 grid, block;
  std::size_t shared_bytes = 0;  // dynamic
};

// Bytes of dynamic shared memory that a piece takes: launch with the sum over the pieces.
constexpr std::size_t shared_room(std::size_t bytes) {
  return (bytes + 15) / 16 * 16;
}

constexpr unsigned kWarpSize = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

// Blocks of `size` that cover `count`.
constexpr unsigned blocks_for(std::int64_t count, std::int64_t size) {
  return static_cast<unsigned>((count + size - 1) / size);
}

// Unrolls the loop that follows; keeps it rolled, to save registers.
#ifdef __CUDACC__
#define GPU_UNROLL _Pragma("unroll")
#define GPU_ROLLED _Pragma("unroll 1")
#else
#define GPU_UNROLL
#define GPU_ROLLED
#endif

#ifdef MASQUE_EMULATE

// Shared memory of a fixed size: GPU_SHARED(float, tile, [32][33]).
// NOLINTBEGIN(bugprone-macro-parentheses): a type and its dimensions
#define GPU_SHARED(type, name, dims)              \
  static const char name##_site = 0;              \
  using name##_type = type dims;                  \
  name##_type& name = *static_cast<name##_type*>( \
      masque::emulator::static_shared(&name##_site, sizeof(name##_type)))
// NOLINTEND(bugprone-macro-parentheses)

// Dynamic shared memory, cut into pieces of 16-byte alignment. All threads take the same pieces in
// the same order.
class SharedPieces {
 public:
  template <class Type>
  Type* take(std::size_t count) {
    return static_cast<Type*>(emulator::dynamic_shared(number_++, count * sizeof(Type)));
  }

 private:
  std::size_t number_ = 0;
};

using emulator::commit_copies;
using emulator::copy_async16;
using emulator::exp2_approx;
using emulator::ldmatrix_x1;
using emulator::ldmatrix_x1_trans;
using emulator::ldmatrix_x2;
using emulator::ldmatrix_x2_trans;
using emulator::ldmatrix_x4;
using emulator::ldmatrix_x4_trans;
using emulator::load_as;
using emulator::mma_bf16;
using emulator::store_as;
using emulator::wait_copies;

inline std::uint32_t pack_rounded(float first, float second) {
  return pack(bf16(first), bf16(second));
}

template <class... Params, class... Arguments>
void launch(const GpuLaunch& shape, cudaStream_t stream, void (*kernel)(Params...),
            const Arguments&... arguments) {
  emulator::launch({shape.name, shape.grid, shape.block, shape.shared_bytes}, stream,
                   [kernel, arguments...] { kernel(arguments...); });
}

#elif defined(__CUDACC__)

#define GPU_SHARED(type, name, dims) __shared__ type name dims

extern __shared__ uint4 dynamic_shared_memory[];

class SharedPieces {
 public:
  template <class Type>
  __device__ Type* take(std::size_t count) {
    Type* piece = reinterpret_cast<Type*>(reinterpret_cast<char*>(dynamic_shared_memory) + used_);
    used_ += shared_room(count * sizeof(Type));
    return piece;
  }

 private:
  std::size_t used_ = 0;
};

// One access of sizeof(Word): uint4 16 bytes, uint2 8, unsigned 4. The address is a multiple of it.
template <class Word>
__device__ __forceinline__ Word load_as(const void* address) {
  return *static_cast<const Word*>(address);
}
template <class Word>
__device__ __forceinline__ void store_as(void* address, Word word) {
  *static_cast<Word*>(address) = word;
}

// d += a·b on a warp, 16×8×16, bf16 with f32 sums. PTX ISA 9.7.14: "Matrix fragments for
// mma.m16n8k16". a holds rows (lane/4, +8), b columns lane/4, d rows (lane/4, +8), columns
// lane%4·2 and the next.
__device__ __forceinline__ void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4],
                                         const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ unsigned shared_address(const void* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

// 8×8 matrices of 16-bit elements from shared memory: lane 8i + r gives the address of row r of
// matrix i; fragment i holds elements (lane/4, lane%4·2) and the next of it. _trans: of its
// transpose.
__device__ __forceinline__ void ldmatrix_x1(std::uint32_t (&f)[1], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];\n"
               : "=r"(f[0])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x2(std::uint32_t (&f)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];\n"
               : "=r"(f[0]), "=r"(f[1])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x4(std::uint32_t (&f)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(f[0]), "=r"(f[1]), "=r"(f[2]), "=r"(f[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x1_trans(std::uint32_t (&f)[1], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];\n"
               : "=r"(f[0])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x2_trans(std::uint32_t (&f)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];\n"
               : "=r"(f[0]), "=r"(f[1])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x4_trans(std::uint32_t (&f)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(f[0]), "=r"(f[1]), "=r"(f[2]), "=r"(f[3])
               : "r"(shared_address(row))
               : "memory");
}

// 16 bytes from global to shared memory, there after commit_copies() and wait_copies() of this
// thread; others also need a barrier. Not valid: 16 zero bytes, and `global` is not read.
__device__ __forceinline__ void copy_async16(void* shared, const void* global, bool valid = true) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(shared)),
               "l"(global), "r"(valid ? 16 : 0)
               : "memory");
}
__device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;\n" ::: "memory");
}
// Waits until at most `Left` committed groups are under way.
template <int Left>
__device__ __forceinline__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(Left) : "memory");
}

// pack(bf16(first), bf16(second)) in one instruction.
__device__ __forceinline__ std::uint32_t pack_rounded(float first, float second) {
  std::uint32_t word;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;\n" : "=r"(word) : "f"(second), "f"(first));
  return word;
}

// 2^x in one instruction, to 2 ulp; 0 where exp2f is subnormal.
__device__ __forceinline__ float exp2_approx(float x) {
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(power) : "f"(x));
  return power;
}

template <class... Params, class... Arguments>
void launch(const GpuLaunch& shape, cudaStream_t stream, void (*kernel)(Params...),
            const Arguments&... arguments) {
  constexpr std::size_t kWithoutOptIn = 48 * 1024;
  if (shape.shared_bytes > kWithoutOptIn) {
    gpu_check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   static_cast<int>(shape.shared_bytes)),
              shape.name);
  }
  // clang-format does not know the launch operator.
  // clang-format off
  kernel<<<shape.grid, shape.block, shape.shared_bytes, stream>>>(arguments...);
  // clang-format on
  gpu_check(cudaGetLastError(), shape.name);
}

#endif

}  // namespace masque
