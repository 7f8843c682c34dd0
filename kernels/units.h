// What the CPU multiplies, and how matrices lie: units, summed in f32 (f64 for f64). A unit is a
// number of the type itself; or bf16 widened to f32; or, on CPUs with products of bf16, a pair of
// bf16 that follow one another along the sum. Such a pair is one lane of 32 bits, so that panels
// look alike at every level.
#pragma once

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels/level.h"

namespace masque {
inline namespace MASQUE_LEVEL_HELPERS {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
inline constexpr int kTileRows = 8;
#elif defined(__AVX__)
inline constexpr int kVectorBytes = 32;
inline constexpr int kTileRows = 6;
#else
inline constexpr int kVectorBytes = 16;
inline constexpr int kTileRows = 6;
#endif
inline constexpr int kPanelVectors = 2;

// Two neighbours along the sum; the second is 0 past its end.
struct BfPair {
  bf16 first, second;
};

// How a type is multiplied: the unit, how many numbers it holds, and what the sum is.
template <class Real>
struct Multiplied {
  using Unit = Real;
  using Sum = Real;
};
template <>
struct Multiplied<bf16> {
#ifdef __AVX512BF16__
  using Unit = BfPair;
#else
  using Unit = float;
#endif
  using Sum = float;
};
template <class Real>
using unit_t = typename Multiplied<Real>::Unit;
template <class Real>
using sum_t = typename Multiplied<Real>::Sum;
template <class Unit>
inline constexpr std::int64_t kUnitDepth = std::is_same_v<Unit, BfPair> ? 2 : 1;

// Tiles (AMX) are 16 rows of 16 lanes, and read A as rows of whole tiles.
#ifdef __AMX_BF16__
template <class Unit>
inline constexpr bool kTiled = std::is_same_v<Unit, BfPair>;
#else
template <class Unit>
inline constexpr bool kTiled = false;
#endif
inline constexpr std::int64_t kTileSide = 16;

template <class Unit>
struct Simd {
  static_assert(std::is_same_v<Unit, float> || std::is_same_v<Unit, double> ||
                std::is_same_v<Unit, BfPair>);
  using Lane = std::conditional_t<std::is_same_v<Unit, double>, double, float>;
  typedef Lane Vector __attribute__((vector_size(kVectorBytes)));
  // The same in memory, at any address of a Lane.
  typedef Lane Stored __attribute__((vector_size(kVectorBytes), aligned(alignof(Unit)), may_alias));
  typedef Lane Quad
      __attribute__((vector_size(4 * sizeof(Lane)), aligned(alignof(Unit)), may_alias));
  static constexpr std::int64_t lanes = kVectorBytes / static_cast<int>(sizeof(Lane));
  static constexpr std::int64_t panel = lanes * kPanelVectors;  // columns of a whole panel
};

template <class Unit>
using VectorOf = typename Simd<Unit>::Vector;

constexpr std::int64_t round_up(std::int64_t count, std::int64_t multiple) {
  return (count + multiple - 1) / multiple * multiple;
}

// A vector's lanes plus those `Half` further on.
template <int Half, class Vector, int... N>
inline Vector add_shifted(const Vector& vector, std::integer_sequence<int, N...> /*lanes*/) {
  return vector + __builtin_shufflevector(vector, vector, ((N + Half) % sizeof...(N))...);
}

// The sum of a vector's lanes, half onto half.
template <class Unit, int Half = static_cast<int>(Simd<Unit>::lanes / 2)>
inline typename Simd<Unit>::Lane sum_of(const VectorOf<Unit>& vector) {
  constexpr std::make_integer_sequence<int, static_cast<int>(Simd<Unit>::lanes)> lanes;
  if constexpr (Half > 0) {
    return sum_of<Unit, Half / 2>(add_shifted<Half>(vector, lanes));
  } else {
    return vector[0];
  }
}

// Units along a sum of K numbers; whole tiles of them where the level has tiles.
template <class Unit>
constexpr std::int64_t depth_of(std::int64_t K) {
  const std::int64_t units = (K + kUnitDepth<Unit> - 1) / kUnitDepth<Unit>;
  return kTiled<Unit> ? round_up(units, kTileSide) : units;
}

// Columns of the panel that starts at `column` of `columns`: the last one may be one vector wide.
template <class Unit>
constexpr std::int64_t panel_width(std::int64_t columns, std::int64_t column) {
  return columns - column <= Simd<Unit>::lanes ? Simd<Unit>::lanes : Simd<Unit>::panel;
}

// Units of the packed form of B, (K, columns).
template <class Unit>
constexpr std::int64_t packed_size(std::int64_t K, std::int64_t columns) {
  return depth_of<Unit>(K) * round_up(columns, Simd<Unit>::lanes);
}

// A matrix under any strides: element (m, k) is data[m·row_stride + k·col_stride].
template <class Element>
struct Strided {
  const Element* data;
  std::int64_t row_stride, col_stride;

  const Element* at(std::int64_t row, std::int64_t column) const {
    return data + row * row_stride + column * col_stride;
  }
  Strided from(std::int64_t row, std::int64_t column) const {
    return {at(row, column), row_stride, col_stride};
  }
};

// kTileRows rows, stored column after column: strides that the inner loop knows.
template <class Unit>
struct TileRows {
  const Unit* data;

  const Unit* at(std::int64_t row, std::int64_t k) const { return data + k * kTileRows + row; }
  TileRows from(std::int64_t row, std::int64_t k) const { return {at(row, k)}; }
};

// B (K, columns), packed by pack_panels.
template <class Unit>
struct Panels {
  const Unit* data;
  std::int64_t K, columns;
};

inline std::uint32_t bits_of(const bf16& value) {
  return value.bits;
}
inline std::uint32_t bits_of(const float& value) {
  return bf16(value).bits;
}

// to = from, rounded.
inline void narrow(bf16* to, const float* from, std::int64_t count) {
  std::int64_t n = 0;
#ifdef __AVX512BF16__
  for (; n + 32 <= count; n += 32) {
    const __m512bh both =
        _mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + n + 16), _mm512_loadu_ps(from + n));
    std::memcpy(to + n, &both, sizeof(both));
  }
#endif
#pragma omp simd
  for (std::int64_t i = n; i < count; ++i) to[i] = from[i];
}

}  // namespace MASQUE_LEVEL_HELPERS
}  // namespace masque
