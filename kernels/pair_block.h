// Pairs of bf16 (kernels/units.h) transposed in registers, on CPUs with products of bf16.
#pragma once

#ifdef __AVX512BF16__

#include <immintrin.h>

#include <cstdint>

#include "kernels/units.h"

namespace masque {
inline namespace MASQUE_LEVEL_HELPERS {

// 16 × 16 pairs are transposed in registers, at any edge of a matrix: what lies beyond it is read
// as 0 and not written.
class PairBlock {
 public:
  // Row i: 16 pairs that lie side by side, of `left` numbers.
  void set(int i, const bf16* from, std::int64_t left) {
    rows_[i] = _mm512_maskz_loadu_epi16(first_of<__mmask32>(left), from);
  }
  // Row i: number n of one row above number n of the next, where there is one.
  void set(int i, const bf16* from, const bf16* next, std::int64_t left) {
    const __mmask16 mask = first_of<__mmask16>(left);
    const __m256i above = _mm256_maskz_loadu_epi16(mask, from);
    const __m256i below = _mm256_maskz_loadu_epi16(next == nullptr ? 0 : mask, next);
    rows_[i] = reinterpret_cast<__m512i>(widened(above) | widened(below) << 16);
  }
  void set(int i, const float* from, const float* next, std::int64_t left) {
    const __mmask16 mask = first_of<__mmask16>(left);
    const __m512 above = _mm512_maskz_loadu_ps(mask, from);
    const __m512 below = _mm512_maskz_loadu_ps(next == nullptr ? 0 : mask, next);
    const __m512i order =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    rows_[i] = _mm512_permutexvar_epi16(
        order, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(below, above)));
  }
  void clear(int i) { rows_[i] = _mm512_setzero_si512(); }

  // Column j of the block becomes row j of `to`, for `count` rows of `width` pairs. (Shuffles by
  // the compiler's names: GCC 12 warns of its own intrinsics.)
  template <class Unit>
  void store_transposed(Unit* to, std::int64_t stride, std::int64_t count, std::int64_t width) {
    typedef std::int32_t Words __attribute__((vector_size(64)));
    typedef std::int64_t Longs __attribute__((vector_size(64)));
    Words pairs[16], quads[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
      const Words a = reinterpret_cast<Words>(rows_[i]), b = reinterpret_cast<Words>(rows_[i + 1]);
      pairs[i] =
          __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
      pairs[i + 1] =
          __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
    }
#pragma GCC unroll 8
    for (int half = 0; half < 8; ++half) {
      const int i = half / 2 * 4 + half % 2;  // 0, 1, 4, 5, 8, …
      const Longs a = reinterpret_cast<Longs>(pairs[i]), b = reinterpret_cast<Longs>(pairs[i + 2]);
      quads[i + half % 2] =
          reinterpret_cast<Words>(__builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14));
      quads[i + half % 2 + 1] =
          reinterpret_cast<Words>(__builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15));
    }
    // Quarter q of quads[4i + j] holds column 4q + j of rows 4i to 4i + 3.
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const auto even = [](const Words& a, const Words& b) {
        return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26,
                                       27);
      };
      const auto odd = [](const Words& a, const Words& b) {
        return __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30,
                                       31);
      };
      const Words even_top = even(quads[j], quads[4 + j]), odd_top = odd(quads[j], quads[4 + j]);
      const Words even_low = even(quads[8 + j], quads[12 + j]),
                  odd_low = odd(quads[8 + j], quads[12 + j]);
      rows_[j] = reinterpret_cast<__m512i>(even(even_top, even_low));
      rows_[4 + j] = reinterpret_cast<__m512i>(even(odd_top, odd_low));
      rows_[8 + j] = reinterpret_cast<__m512i>(odd(even_top, even_low));
      rows_[12 + j] = reinterpret_cast<__m512i>(odd(odd_top, odd_low));
    }
    const __mmask16 mask = first_of<__mmask16>(width);
    if (count >= 16) {
#pragma GCC unroll 16
      for (int j = 0; j < 16; ++j) _mm512_mask_storeu_epi32(to + j * stride, mask, rows_[j]);
    } else {
      for (int j = 0; j < count; ++j) _mm512_mask_storeu_epi32(to + j * stride, mask, rows_[j]);
    }
  }

 private:
  template <class Mask>
  static Mask first_of(std::int64_t count) {
    constexpr std::int64_t lanes = 8 * sizeof(Mask);
    return static_cast<Mask>(count >= lanes ? ~0ull : (1ull << count) - 1);
  }

  typedef std::uint32_t Wide __attribute__((vector_size(64)));
  static Wide widened(__m256i halves) {
    typedef std::uint16_t Halves __attribute__((vector_size(32)));
    return __builtin_convertvector(reinterpret_cast<Halves>(halves), Wide);
  }

  __m512i rows_[16];
};

}  // namespace MASQUE_LEVEL_HELPERS
}  // namespace masque

#endif
