// Loops over a row that end in a store. GCC turns the rounding of an f32 to bf16 into eight
// operations a vector; the instruction of CPUs with products of bf16 rounds two vectors at once, so
// there a piece of the row is computed in f32, on the stack, and rounded whole. For long rows:
// below a piece the plain loop is as fast.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/level.h"
#include "kernels/units.h"

namespace masque {
inline namespace MASQUE_LEVEL_HELPERS {

#ifdef __AVX512BF16__
template <class Real>
inline constexpr bool kRoundedWhole = std::is_same_v<Real, bf16>;
#else
template <class Real>
inline constexpr bool kRoundedWhole = false;
#endif
inline constexpr std::int64_t kRowPiece = 64;

// out[i] = value(i), for i < count; value may read what `out` holds at i.
template <class Real, class Value>
inline void store_row(Real* out, std::int64_t count, const Value& value) {
  if constexpr (kRoundedWhole<Real>) {
    for (std::int64_t first = 0; first < count; first += kRowPiece) {
      const std::int64_t here = std::min(kRowPiece, count - first);
      float piece[kRowPiece];
#pragma omp simd
      for (std::int64_t i = 0; i < here; ++i) piece[i] = value(first + i);
      narrow(out + first, piece, here);
    }
  } else {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) out[i] = value(i);
  }
}

// values(i, a, b) computes a for one[i] and b for two[i]; it may read what they hold at i.
template <class Real, class Values>
inline void store_rows(Real* one, Real* two, std::int64_t count, const Values& values) {
  if constexpr (kRoundedWhole<Real>) {
    for (std::int64_t first = 0; first < count; first += kRowPiece) {
      const std::int64_t here = std::min(kRowPiece, count - first);
      float piece[kRowPiece], other[kRowPiece];
#pragma omp simd
      for (std::int64_t i = 0; i < here; ++i) values(first + i, piece[i], other[i]);
      narrow(one + first, piece, here);
      narrow(two + first, other, here);
    }
  } else {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) {
      stat_t<Real> a, b;
      values(i, a, b);
      one[i] = a;
      two[i] = b;
    }
  }
}

}  // namespace MASQUE_LEVEL_HELPERS
}  // namespace masque
