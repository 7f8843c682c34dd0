// Sums and maxima over a warp and over a block, in an order fixed by the number of threads.
#pragma once

#include "kernels/gpu.h"

namespace masque {

// Every lane gets the result.
template <class Value>
__device__ __forceinline__ Value warp_sum(Value value) {
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(kAllLanes, value, step);
  return value;
}

// NaN of one lane may be lost: CUDA's max gives the other.
template <class Value>
__device__ __forceinline__ Value warp_max(Value value) {
  for (int step = 16; step > 0; step /= 2) {
    const Value other = __shfl_xor_sync(kAllLanes, value, step);
    value = other > value ? other : value;
  }
  return value;
}

// Over a block of Threads threads in x, a multiple of 32; every thread gets the result. All threads
// of the block must call it.
template <int Threads, class Value>
__device__ Value block_sum(Value value) {
  static_assert(Threads % 32 == 0 && Threads <= 1024);
  constexpr int kWarps = Threads / 32;
  if constexpr (kWarps == 1) {
    return warp_sum(value);
  } else {
    GPU_SHARED(Value, parts, [kWarps]);
    __syncthreads();  // parts may still be read by an earlier call
    value = warp_sum(value);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
    __syncthreads();
    Value sum = 0;
    for (int warp = 0; warp < kWarps; ++warp) sum += parts[warp];
    return sum;
  }
}

}  // namespace masque
