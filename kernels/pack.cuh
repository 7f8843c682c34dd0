// 16 bytes of elements as one access: what a memory-bound kernel reads and writes by.
#pragma once

#include <bit>

#include "kernels/gpu.h"

namespace masque {

// f32: 4, bf16: 8.
template <class Real>
constexpr int kPack = static_cast<int>(16 / sizeof(Real));

template <class Real>
struct Pack {
  Real values[kPack<Real>];

  __device__ Real& operator[](int i) { return values[i]; }
  __device__ const Real& operator[](int i) const { return values[i]; }
};

// The address is a multiple of 16.
template <class Real>
__device__ __forceinline__ Pack<Real> load_pack(const Real* address) {
  return std::bit_cast<Pack<Real>>(load_as<uint4>(address));
}
template <class Real>
__device__ __forceinline__ void store_pack(Real* address, const Pack<Real>& pack) {
  store_as(address, std::bit_cast<uint4>(pack));
}

// Whether rows of `stride` elements that start at these addresses can be read in packs.
template <class Real, class... Pointers>
bool packs_fit(std::int64_t stride, const Pointers*... pointers) {
  const auto aligned = [](const void* pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0;
  };
  return stride % kPack<Real> == 0 && (aligned(pointers) && ...);
}

}  // namespace masque
