// Maxima over a block and sums over a grid, beside what reduce.cuh has: in an order fixed by the
// shape of the launch.
#pragma once

#include "kernels/reduce.cuh"

namespace masque {

// As block_sum: every thread gets the result, all threads of the block must call it.
template <int Threads, class Value>
__device__ Value block_max(Value value) {
  static_assert(Threads % 32 == 0 && Threads <= 1024);
  constexpr int kWarps = Threads / 32;
  value = warp_max(value);
  if constexpr (kWarps > 1) {
    GPU_SHARED(Value, parts, [kWarps]);
    __syncthreads();  // parts may still be read by an earlier call
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
    __syncthreads();
    for (int warp = 0; warp < kWarps; ++warp) value = parts[warp] > value ? parts[warp] : value;
  }
  return value;
}

// Adds one number a block, that of its thread 0. True in the block that comes last, where all
// threads get the sum as `value`. parts: (gridDim.x) scratch. counter: 0 before and after.
template <int Threads>
__device__ bool sum_over_grid(double& value, double* parts, unsigned* counter) {
  GPU_SHARED(bool, is_last, [1]);
  if (threadIdx.x == 0) {
    parts[blockIdx.x] = value;
    __threadfence();  // the part is seen before the count
    is_last[0] = atomicAdd(counter, 1u) == gridDim.x - 1;
    __threadfence();  // and read after it
  }
  __syncthreads();
  if (!is_last[0]) return false;
  double sum = 0;
  for (unsigned block = threadIdx.x; block < gridDim.x; block += Threads) sum += parts[block];
  value = block_sum<Threads>(sum);
  if (threadIdx.x == 0) *counter = 0;
  return true;
}

// counts: (2) += positions that weigh, those of them correct. By one thread a block; integers, so
// the order of the blocks does not show. Null: not wanted.
__device__ __forceinline__ void add_counts(std::int64_t* counts, int weigh, int correct) {
  if (counts == nullptr || weigh == 0) return;
  auto* const words = reinterpret_cast<unsigned long long*>(counts);
  atomicAdd(words, static_cast<unsigned long long>(weigh));
  if (correct != 0) atomicAdd(words + 1, static_cast<unsigned long long>(correct));
}

}  // namespace masque
