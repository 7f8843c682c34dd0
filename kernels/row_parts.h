// Loops over a row of numbers, a vector at a time, in f32 (f64 for f64) whatever the row holds.
//
//   for_parts<float>(C, [&](const auto& part) { part.store(out, part.load(a) * part.load(b)); });
#pragma once

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/level.h"
#include "kernels/units.h"

namespace masque {
inline namespace MASQUE_LEVEL_HELPERS {

// Numbers that lie side by side as one vector.
template <class Real>
inline typename Simd<sum_t<Real>>::Vector load(const Real* from) {
  if constexpr (std::is_same_v<Real, bf16>) {
#ifdef __AVX512F__
    // GCC 12 converts a vector's halves apart; without a mask it warns.
    const __m512i words = _mm512_maskz_cvtepu16_epi32(
        0xFFFF, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
    return reinterpret_cast<typename Simd<float>::Vector>(
        _mm512_maskz_slli_epi32(0xFFFF, words, 16));
#else
    constexpr int lanes = Simd<float>::lanes;
    typedef std::uint16_t Halves __attribute__((vector_size(2 * lanes), aligned(2), may_alias));
    typedef std::uint32_t Words __attribute__((vector_size(4 * lanes)));
    const Words words = __builtin_convertvector(*reinterpret_cast<const Halves*>(from), Words)
                        << 16;
    return reinterpret_cast<typename Simd<float>::Vector>(words);
#endif
  } else {
    return *reinterpret_cast<const typename Simd<Real>::Stored*>(from);
  }
}

// And back, rounded to nearest.
template <class Real>
inline void store(Real* to, const typename Simd<sum_t<Real>>::Vector& vector) {
  if constexpr (std::is_same_v<Real, bf16>) {
#ifdef __AVX512BF16__
    const __m256bh halves = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(vector));
    std::memcpy(to, &halves, sizeof(halves));
#else
    constexpr int lanes = Simd<float>::lanes;
    typedef std::uint16_t Halves __attribute__((vector_size(2 * lanes), aligned(2), may_alias));
    typedef std::uint32_t Words __attribute__((vector_size(4 * lanes)));
    const Words words = reinterpret_cast<Words>(vector);  // rounded as struct bf16 does
    const Words nearest = (words + 0x7fffu + (words >> 16 & 1u)) >> 16;
    const Words rounded = (words & 0x7fffffffu) > 0x7f800000u ? words >> 16 | 0x40u : nearest;
    *reinterpret_cast<Halves*>(to) = __builtin_convertvector(rounded, Halves);
#endif
  } else {
    *reinterpret_cast<typename Simd<Real>::Stored*>(to) = vector;
  }
}

// A vector's worth of rows, from number `first` on.
template <class Stat>
struct WholePart {
  using Vector = typename Simd<Stat>::Vector;
  std::int64_t first;

  template <class Real>
  Vector load(const Real* row) const {
    return MASQUE_LEVEL_HELPERS::load(row + first);
  }
  template <class Real>
  void store(Real* row, const Vector& vector) const {
    MASQUE_LEVEL_HELPERS::store(row + first, vector);
  }
  Vector only(const Vector& vector) const { return vector; }
};

// What is left of rows: `count` numbers, fewer than a vector has lanes. Past them it loads 0 and
// stores nothing.
template <class Stat>
struct LastPart {
  using Vector = typename Simd<Stat>::Vector;
  static constexpr std::int64_t lanes = Simd<Stat>::lanes;
  std::int64_t first, count;

  template <class Real>
  Vector load(const Real* row) const {
#ifdef __AVX512F__
    if constexpr (std::is_same_v<Real, float>) {
      return reinterpret_cast<Vector>(_mm512_maskz_loadu_ps(mask(), row + first));
    } else if constexpr (std::is_same_v<Real, bf16>) {
      const __m256i halves = _mm256_maskz_loadu_epi16(mask(), row + first);
      Real part[lanes];
      std::memcpy(part, &halves, sizeof(halves));
      return MASQUE_LEVEL_HELPERS::load(part);
    }
#endif
    Real part[lanes] = {};
    std::memcpy(part, row + first, static_cast<std::size_t>(count) * sizeof(Real));
    return MASQUE_LEVEL_HELPERS::load(part);
  }
  template <class Real>
  void store(Real* row, const Vector& vector) const {
    Real part[lanes];
    MASQUE_LEVEL_HELPERS::store(part, vector);
#ifdef __AVX512F__
    if constexpr (std::is_same_v<Real, float>) {
      _mm512_mask_storeu_ps(row + first, mask(), reinterpret_cast<__m512>(vector));
      return;
    } else if constexpr (std::is_same_v<Real, bf16>) {
      __m256i halves;
      std::memcpy(&halves, part, sizeof(halves));
      _mm256_mask_storeu_epi16(row + first, mask(), halves);
      return;
    }
#endif
    std::memcpy(row + first, part, static_cast<std::size_t>(count) * sizeof(Real));
  }
  // 0 past the end.
  Vector only(const Vector& vector) const {
    Stat part[lanes];
    std::memcpy(part, &vector, sizeof(vector));
    for (std::int64_t n = count; n < lanes; ++n) part[n] = 0;
    return MASQUE_LEVEL_HELPERS::load(part);
  }

#ifdef __AVX512F__
 private:
  __mmask16 mask() const {
    return static_cast<__mmask16>((1u << count) - 1);
  }
#endif
};

// body(part) for the parts of rows of `count` numbers, computed with as Stat.
template <class Stat, class Body>
inline void for_parts(std::int64_t count, const Body& body) {
  constexpr std::int64_t lanes = Simd<Stat>::lanes;
  std::int64_t first = 0;
  for (; first + lanes <= count; first += lanes) body(WholePart<Stat>{first});
  if (first < count) body(LastPart<Stat>{first, count - first});
}

}  // namespace MASQUE_LEVEL_HELPERS
}  // namespace masque
