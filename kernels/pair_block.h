// Numbers brought into pairs of bf16 (kernels/units.h) and transposed in registers, on CPUs with
// products of bf16. Rows that belong to different quarters of a vector are loaded into them, so
// that all shuffles stay within a quarter, where they are cheapest.
#pragma once

#ifdef __AVX512BF16__

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "kernels/units.h"

namespace masque {
inline namespace MASQUE_LEVEL_HELPERS {

// Quarter q: the eight numbers from `from` + q·step on, as bf16.
inline __m512i four_runs(const bf16* from, std::int64_t step) {
  const auto run = [&](int q) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + q * step));
  };
  __m512i runs = _mm512_castsi128_si512(run(0));
  runs = _mm512_inserti32x4(runs, run(1), 1);
  runs = _mm512_inserti32x4(runs, run(2), 2);
  return _mm512_inserti32x4(runs, run(3), 3);
}
inline __m512i four_runs(const float* from, std::int64_t step) {
  const auto two_runs = [&](int q) {
    const __m512 first = _mm512_castps256_ps512(_mm256_loadu_ps(from + q * step));
    return _mm512_insertf32x8(first, _mm256_loadu_ps(from + (q + 1) * step), 1);
  };
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(two_runs(2), two_runs(0)));
}

// What punpckl and punpckh do to words of `Word`: the lower (or upper) halves of every quarter of a
// and b, word by word. (By the compiler's name for shuffles: GCC 12 warns of its own intrinsics.)
template <class Word, bool upper>
inline __m512i unpack(__m512i a, __m512i b) {
  typedef Word Words __attribute__((vector_size(64)));
  constexpr int in_quarter = 16 / static_cast<int>(sizeof(Word)), count = 4 * in_quarter;
  const auto shuffled = [&]<int... I>(std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(reinterpret_cast<Words>(a), reinterpret_cast<Words>(b),
                                   (I / in_quarter * in_quarter + (upper ? in_quarter / 2 : 0) +
                                    I % in_quarter / 2 + (I % 2 == 1 ? count : 0))...);
  };
  return reinterpret_cast<__m512i>(shuffled(std::make_integer_sequence<int, count>{}));
}

// to(i, j) = (from(2i, j), from(2i + 1, j)) for 32 columns j, the rows of `to` side by side.
inline void interleave_rows(BfPair* to, const bf16* from, std::int64_t from_stride,
                            std::int64_t pairs) {
  const __m512i order = _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0);  // so that unpacking restores it
  for (std::int64_t i = 0; i < pairs; ++i, from += 2 * from_stride, to += 32) {
    const __m512i even = _mm512_maskz_permutexvar_epi64(0xFF, order, _mm512_loadu_si512(from));
    const __m512i odd =
        _mm512_maskz_permutexvar_epi64(0xFF, order, _mm512_loadu_si512(from + from_stride));
    _mm512_storeu_si512(to, unpack<std::int16_t, false>(even, odd));
    _mm512_storeu_si512(to + 16, unpack<std::int16_t, true>(even, odd));
  }
}

// to(j, i) = (from(2i, j), from(2i + 1, j)) for eight columns j of 32 rows.
template <class Source>
inline void pair_columns(BfPair* to, std::int64_t to_stride, const Source* from,
                         std::int64_t from_stride) {
  __m512i row[8], pair[8];  // of quarter q: rows 8q …, each of eight columns
#pragma GCC unroll 8
  for (int r = 0; r < 8; ++r) row[r] = four_runs(from + r * from_stride, 8 * from_stride);
#pragma GCC unroll 4
  for (int r = 0; r < 8; r += 2) {
    pair[r] = unpack<std::int16_t, false>(row[r], row[r + 1]);     // columns 0 to 3
    pair[r + 1] = unpack<std::int16_t, true>(row[r], row[r + 1]);  // columns 4 to 7
  }
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half) {
#pragma GCC unroll 2
    for (int upper = 0; upper < 2; ++upper) {  // of the half's columns: 0 and 1, or 2 and 3
      const auto four_rows = [&](int r) {
        return upper == 0 ? unpack<std::int32_t, false>(pair[r + half], pair[r + 2 + half])
                          : unpack<std::int32_t, true>(pair[r + half], pair[r + 2 + half]);
      };
      const __m512i first = four_rows(0), second = four_rows(4);
      BfPair* column = to + (4 * half + 2 * upper) * to_stride;
      _mm512_storeu_si512(column, unpack<std::int64_t, false>(first, second));
      _mm512_storeu_si512(column + to_stride, unpack<std::int64_t, true>(first, second));
    }
  }
}

// to(i, j) = (from(j, 2i), from(j, 2i + 1)) for four pairs i of 16 rows.
inline void transpose_pairs(BfPair* to, std::int64_t to_stride, const bf16* from,
                            std::int64_t from_stride) {
  __m512i row[4];  // of quarter q: rows 4q …, each of four pairs
#pragma GCC unroll 4
  for (int r = 0; r < 4; ++r) row[r] = four_runs(from + r * from_stride, 4 * from_stride);
  const __m512i low_first = unpack<std::int32_t, false>(row[0], row[1]),
                low_second = unpack<std::int32_t, false>(row[2], row[3]),
                high_first = unpack<std::int32_t, true>(row[0], row[1]),
                high_second = unpack<std::int32_t, true>(row[2], row[3]);
  _mm512_storeu_si512(to, unpack<std::int64_t, false>(low_first, low_second));
  _mm512_storeu_si512(to + to_stride, unpack<std::int64_t, true>(low_first, low_second));
  _mm512_storeu_si512(to + 2 * to_stride, unpack<std::int64_t, false>(high_first, high_second));
  _mm512_storeu_si512(to + 3 * to_stride, unpack<std::int64_t, true>(high_first, high_second));
}

// The same at the edge of a matrix, of which there are `rows` and `columns` of numbers: what lies
// beyond is read as 0, and `count` rows of `width` pairs are written.
template <class Source>
inline void pair_columns_at_edge(BfPair* to, std::int64_t to_stride, std::int64_t count,
                                 std::int64_t width, const Source* from, std::int64_t from_stride,
                                 std::int64_t rows, std::int64_t columns) {
  Source corner[32 * 8] = {};
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) corner[i * 8 + j] = from[i * from_stride + j];
  }
  BfPair block[8 * 16];
  pair_columns(block, 16, corner, 8);
  for (std::int64_t j = 0; j < count; ++j) std::copy_n(block + j * 16, width, to + j * to_stride);
}
inline void transpose_pairs_at_edge(BfPair* to, std::int64_t to_stride, std::int64_t count,
                                    std::int64_t width, const bf16* from, std::int64_t from_stride,
                                    std::int64_t rows, std::int64_t columns) {
  bf16 corner[16 * 8] = {};
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) corner[i * 8 + j] = from[i * from_stride + j];
  }
  BfPair block[4 * 16];
  transpose_pairs(block, 16, corner, 8);
  for (std::int64_t i = 0; i < count; ++i) std::copy_n(block + i * 16, width, to + i * to_stride);
}

}  // namespace MASQUE_LEVEL_HELPERS
}  // namespace masque

#endif
