// A few neighbouring elements in registers, read and written in packs where Width is whole packs,
// else one by one: one kernel text for rows that can be read in packs and for those that cannot.
#pragma once

#include "kernels/pack.cuh"

namespace masque {

template <class Real, int Width>
struct Elements {
  Real values[Width];

  __device__ Real& operator[](int i) { return values[i]; }
  __device__ const Real& operator[](int i) const { return values[i]; }
};

template <int Width, class Real>
__device__ __forceinline__ Elements<Real, Width> load_elements(const Real* address) {
  Elements<Real, Width> elements;
  if constexpr (Width % kPack<Real> == 0) {
    for (int i = 0; i < Width; i += kPack<Real>) {
      const Pack<Real> pack = load_pack(address + i);
      for (int j = 0; j < kPack<Real>; ++j) elements[i + j] = pack[j];
    }
  } else {
    for (int i = 0; i < Width; ++i) elements[i] = address[i];
  }
  return elements;
}

template <int Width, class Real>
__device__ __forceinline__ void store_elements(Real* address,
                                               const Elements<Real, Width>& elements) {
  if constexpr (Width % kPack<Real> == 0) {
    for (int i = 0; i < Width; i += kPack<Real>) {
      Pack<Real> pack;
      for (int j = 0; j < kPack<Real>; ++j) pack[j] = elements[i + j];
      store_pack(address + i, pack);
    }
  } else {
    for (int i = 0; i < Width; ++i) address[i] = elements[i];
  }
}

// The same numbers in another type, rounded where it is narrower.
template <class To, class From, int Width>
__device__ __forceinline__ Elements<To, Width> elements_as(const Elements<From, Width>& elements) {
  Elements<To, Width> converted;
  for (int i = 0; i < Width; ++i) converted[i] = static_cast<To>(elements[i]);
  return converted;
}

template <class Real, int Width>
__device__ __forceinline__ void add_elements(Elements<float, Width>& sum,
                                             const Elements<Real, Width>& elements) {
  for (int i = 0; i < Width; ++i) sum[i] += elements[i];
}

}  // namespace masque
