// CUDA's device code as C++: what a kernel in a .cu file uses, by CUDA's names. Included by
// kernels/gpu.h where nvcc is not the compiler.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/emulator/grid.h"

// NOLINTBEGIN(bugprone-reserved-identifier): CUDA's names.

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

// In CUDA these are variables, so that a kernel may use the names as such.
#define threadIdx (masque::emulator::place().thread)
#define blockIdx (masque::emulator::place().block)
#define blockDim (masque::emulator::place().block_dim)
#define gridDim (masque::emulator::place().grid_dim)

inline void __syncthreads(const masque::emulator::Site& site = masque::emulator::Site::current()) {
  masque::emulator::barrier(site);
}

inline void __syncwarp(unsigned mask = 0xffffffffu,
                       const masque::emulator::Site& site = masque::emulator::Site::current()) {
  masque::emulator::collective(
      "__syncwarp", mask, nullptr, [](masque::emulator::Posts) {}, site);
}

inline void __threadfence() {}

namespace masque::emulator {

// value: what a lane gives, replaced by what it receives from lane `source`.
template <class Type>
struct Shuffle {
  Type value;
  unsigned source;
};

// A source outside the mask gives what CUDA calls undefined: bytes of 0xff.
template <class Type>
void complete_shuffle(Posts posts) {
  Type given[kWarp];
  std::memset(given, 0xff, sizeof(given));
  for (unsigned i = 0; i < kWarp; ++i) {
    if (posts[i] != nullptr) given[i] = static_cast<Shuffle<Type>*>(posts[i])->value;
  }
  for (void* post : posts) {
    if (post == nullptr) continue;
    auto& shuffle = *static_cast<Shuffle<Type>*>(post);
    shuffle.value = given[shuffle.source];
  }
}

template <class Type>
Type shuffle(const char* op, unsigned mask, Type value, unsigned source, const Site& site) {
  static_assert(std::is_arithmetic_v<Type> && (sizeof(Type) == 4 || sizeof(Type) == 8));
  Shuffle<Type> post{value, source};
  collective(op, mask, &post, complete_shuffle<Type>, site);
  return post.value;
}

inline unsigned segment(int width) {  // the first lane of the running lane's group of `width`
  return lane() / static_cast<unsigned>(width) * static_cast<unsigned>(width);
}

}  // namespace masque::emulator

template <class Type>
Type __shfl_sync(unsigned mask, Type value, int source, int width = 32,
                 const masque::emulator::Site& site = masque::emulator::Site::current()) {
  const unsigned within = static_cast<unsigned>(source) % static_cast<unsigned>(width);
  return masque::emulator::shuffle("__shfl_sync", mask, value,
                                   masque::emulator::segment(width) + within, site);
}

template <class Type>
Type __shfl_xor_sync(unsigned mask, Type value, int bits, int width = 32,
                     const masque::emulator::Site& site = masque::emulator::Site::current()) {
  const unsigned self = masque::emulator::lane(), first = masque::emulator::segment(width);
  const unsigned source = self ^ static_cast<unsigned>(bits);
  const bool inside = source < first + static_cast<unsigned>(width);  // a lower group may be read
  return masque::emulator::shuffle("__shfl_xor_sync", mask, value, inside ? source : self, site);
}

template <class Type>
Type __shfl_down_sync(unsigned mask, Type value, unsigned delta, int width = 32,
                      const masque::emulator::Site& site = masque::emulator::Site::current()) {
  const unsigned self = masque::emulator::lane(), first = masque::emulator::segment(width);
  const bool inside = self + delta < first + static_cast<unsigned>(width);
  return masque::emulator::shuffle("__shfl_down_sync", mask, value, inside ? self + delta : self,
                                   site);
}

template <class Type>
Type __shfl_up_sync(unsigned mask, Type value, unsigned delta, int width = 32,
                    const masque::emulator::Site& site = masque::emulator::Site::current()) {
  const unsigned self = masque::emulator::lane(), first = masque::emulator::segment(width);
  const bool inside = self >= first + delta;
  return masque::emulator::shuffle("__shfl_up_sync", mask, value, inside ? self - delta : self,
                                   site);
}

inline unsigned __ballot_sync(
    unsigned mask, int predicate,
    const masque::emulator::Site& site = masque::emulator::Site::current()) {
  unsigned vote = predicate != 0 ? 1u : 0u;  // of this lane, then of all
  const auto complete = [](masque::emulator::Posts posts) {
    unsigned votes = 0;
    for (unsigned i = 0; i < masque::emulator::kWarp; ++i) {
      if (posts[i] != nullptr) votes |= *static_cast<unsigned*>(posts[i]) << i;
    }
    for (void* post : posts) {
      if (post != nullptr) *static_cast<unsigned*>(post) = votes;
    }
  };
  masque::emulator::collective("__ballot_sync", mask, &vote, complete, site);
  return vote;
}

inline int __any_sync(unsigned mask, int predicate,
                      const masque::emulator::Site& site = masque::emulator::Site::current()) {
  return __ballot_sync(mask, predicate, site) != 0;
}

inline int __all_sync(unsigned mask, int predicate,
                      const masque::emulator::Site& site = masque::emulator::Site::current()) {
  return __ballot_sync(mask, predicate, site) == mask;
}

// Integers only: a float's sum would depend on the order.
template <class Integer>
Integer atomicAdd(Integer* address, Integer value) {
  static_assert(std::is_integral_v<Integer>);
  const Integer before = *address;
  *address = static_cast<Integer>(before + value);
  return before;
}

template <class Integer>
Integer atomicMax(Integer* address, Integer value) {
  static_assert(std::is_integral_v<Integer>);
  const Integer before = *address;
  if (value > before) *address = value;
  return before;
}

template <class Integer>
Integer atomicMin(Integer* address, Integer value) {
  static_assert(std::is_integral_v<Integer>);
  const Integer before = *address;
  if (value < before) *address = value;
  return before;
}

template <class Integer>
Integer atomicCAS(Integer* address, Integer expected, Integer value) {
  static_assert(std::is_integral_v<Integer>);
  const Integer before = *address;
  if (before == expected) *address = value;
  return before;
}

inline int __popc(unsigned word) {
  return __builtin_popcount(word);
}
inline int __ffs(int word) {
  return __builtin_ffs(word);
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(std::uint64_t{a} * b >> 32);
}
inline float rsqrtf(float x) {
  return 1.0f / std::sqrt(x);
}
inline float __expf(float x) {
  return std::exp(x);
}
inline void sincospif(float half_turns, float* sine, float* cosine) {
  const double angle = 3.141592653589793 * static_cast<double>(half_turns);
  *sine = static_cast<float>(std::sin(angle));
  *cosine = static_cast<float>(std::cos(angle));
}
template <class Type>
Type __ldg(const Type* address) {
  return *address;
}

namespace masque::emulator {

[[noreturn]] void refuse_access(const void* address, std::size_t bytes, const Site& site);

// A vector access, as kernels/gpu.h says it.
template <class Word>
Word load_as(const void* address, const Site& site = Site::current()) {
  if (reinterpret_cast<std::uintptr_t>(address) % sizeof(Word) != 0) {
    refuse_access(address, sizeof(Word), site);
  }
  Word word;
  std::memcpy(&word, address, sizeof(Word));
  return word;
}
template <class Word>
void store_as(void* address, Word word, const Site& site = Site::current()) {
  if (reinterpret_cast<std::uintptr_t>(address) % sizeof(Word) != 0) {
    refuse_access(address, sizeof(Word), site);
  }
  std::memcpy(address, &word, sizeof(Word));
}

inline float exp2_approx(float x) {
  return std::exp2(x);
}

inline void copy_async16(void* shared, const void* global, bool valid = true,
                         const Site& site = Site::current()) {
  copy_async(shared, global, 16, valid, site);
}
template <int Left>
void wait_copies() {
  wait_copies(std::size_t{Left});
}

}  // namespace masque::emulator

// NOLINTEND(bugprone-reserved-identifier)
