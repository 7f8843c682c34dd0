// bf16: the upper half of an f32. One type on the CPU, in CUDA and in the emulator, so that a
// tensor's bytes mean the same everywhere. Arithmetic is done in float.
#pragma once

#include <bit>
#include <cstdint>

#ifdef __CUDACC__
#define MASQUE_HOST_DEVICE __host__ __device__
#else
#define MASQUE_HOST_DEVICE
#endif

namespace masque {

struct bf16 {
  std::uint16_t bits;

  bf16() = default;
  // Rounds to nearest, ties to even; NaN stays NaN.
  MASQUE_HOST_DEVICE explicit bf16(float value) : bits(rounded(value)) {}
  // A round and a store in one: GCC 12 does not vectorise loops that copy a whole bf16.
  MASQUE_HOST_DEVICE bf16& operator=(float value) {
    bits = rounded(value);
    return *this;
  }
  MASQUE_HOST_DEVICE operator float() const {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }

 private:
  MASQUE_HOST_DEVICE static std::uint16_t rounded(float value) {
    const auto word = std::bit_cast<std::uint32_t>(value);
    const bool nan = (word & 0x7fffffffu) > 0x7f800000u;
    const std::uint32_t nearest = (word + 0x7fffu + ((word >> 16) & 1u)) >> 16;
    return static_cast<std::uint16_t>(nan ? (word >> 16) | 0x40u : nearest);
  }
};

// Two neighbours as a tensor core reads them: the first in the low half.
MASQUE_HOST_DEVICE inline std::uint32_t pack(bf16 first, bf16 second) {
  return first.bits | static_cast<std::uint32_t>(second.bits) << 16;
}

}  // namespace masque
