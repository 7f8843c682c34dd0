// Dot products of vectors, from where they lie: for the products of decoding.
#pragma once

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#include <cstdint>

#include "kernels/level.h"
#include "kernels/row_parts.h"
#include "kernels/units.h"

namespace masque {
inline namespace MASQUE_LEVEL_HELPERS {

// How dot products go along the sum: `step` numbers at a time, and what is left where `masked`.
template <class Real>
struct Dot {
  using Vector = typename Simd<sum_t<Real>>::Vector;
  static constexpr std::int64_t step = Simd<sum_t<Real>>::lanes;
  static constexpr bool masked = false;

  static void add(Vector& sum, const Real* a, const Real* b, std::int64_t) {
    sum += load(a) * load(b);
  }
};
#ifdef __AVX512BF16__
template <>
struct Dot<bf16> {
  using Vector = Simd<float>::Vector;
  static constexpr std::int64_t step = 32;
  static constexpr bool masked = true;

  static void add(Vector& sum, const bf16* a, const bf16* b, std::int64_t left) {
    const __mmask32 mask = left >= step ? ~0u : (1u << left) - 1;
    sum = _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(_mm512_maskz_loadu_epi16(mask, a)),
                           reinterpret_cast<__m512bh>(_mm512_maskz_loadu_epi16(mask, b)));
  }
};
#endif

}  // namespace MASQUE_LEVEL_HELPERS
}  // namespace masque
