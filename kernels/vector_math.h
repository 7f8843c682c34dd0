// exp and tanh for float without branches or calls, so that a loop marked `omp simd` vectorises
// them. At most 2 ulp from the true value over every float, denormal results included; NaN is kept,
// exp(−∞) is 0 and tanh(±∞) is ±1. The double overloads are the standard library's: the f64 path is
// the reference. Range reduction by Cody & Waite 1980, polynomials interpolated at Chebyshev nodes.
#pragma once

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "kernels/level.h"
#include "kernels/units.h"

namespace masque {
inline namespace MASQUE_LEVEL_HELPERS {

inline float fast_exp(float x) {
  // Beyond these the result is 0 or ∞ all the same. The comparisons are false for NaN.
  x = x < -104.0f ? -104.0f : x;
  x = x > 89.0f ? 89.0f : x;
  // n = round(x / ln 2), found in the low bits of the sum with 1.5·2²³.
  const float shifted = x * 1.442695041f + 12582912.0f;
  const float n = shifted - 12582912.0f;
  const std::uint32_t shift = std::bit_cast<std::uint32_t>(shifted) - 0x4B400000u;
  // r = x − n·ln 2 in two parts; the first has 9 bits, so that its product is exact.
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float q = 0.00139262508f;
  q = q * r + 0.00836323288f;
  q = q * r + 0.0416665542f;
  q = q * r + 0.166665767f;
  q = q * r + 0.5f;
  const float mantissa = (q * (r * r) + r) + 1.0f;
  // 2ⁿ as a product of two, since n may be 128 or lie below the normal exponents.
  const std::uint32_t half = static_cast<std::uint32_t>(static_cast<std::int32_t>(shift) >> 1);
  const float scale1 = std::bit_cast<float>((half + 127u) << 23);
  const float scale2 = std::bit_cast<float>((shift - half + 127u) << 23);
  return mantissa * scale1 * scale2;
}

inline double fast_exp(double x) {
  return std::exp(x);
}

#ifdef __AVX512F__
// The same for 16 at a time, where an instruction multiplies by 2ⁿ; but 0 for what would be
// denormal, which that instruction takes long over.
inline __m512 fast_exp(__m512 x) {
  const auto all = [](float value) { return _mm512_set1_ps(value); };
  const __mmask16 normal = _mm512_cmp_ps_mask(x, all(-87.3365402f), _CMP_NLE_UQ);  // or NaN
  x = _mm512_maskz_min_ps(normal, all(89.0f), x);  // the second operand where one is NaN
  const __m512 n = x * all(1.442695041f) + all(12582912.0f) - all(12582912.0f);
  const __m512 r = (x - n * all(0.693359375f)) + n * all(2.12194440e-4f);
  __m512 q = all(0.00139262508f);
  q = q * r + all(0.00836323288f);
  q = q * r + all(0.0416665542f);
  q = q * r + all(0.166665767f);
  q = q * r + all(0.5f);
  return _mm512_maskz_scalef_ps(normal, (q * (r * r) + r) + all(1.0f), n);
}
#endif

// values[i] = exp(values[i]·scale − shift), for i < count; returns their sum.
template <class Real>
inline Real exp_row(Real* values, std::int64_t count, Real scale, Real shift) {
  Real sum = 0;
  std::int64_t i = 0;
#ifdef __AVX512F__
  if constexpr (std::is_same_v<Real, float>) {
    __m512 sums = _mm512_setzero_ps();
    for (; i + 16 <= count; i += 16) {
      const __m512 scaled = _mm512_loadu_ps(values + i) * _mm512_set1_ps(scale);
      const __m512 exponential = fast_exp(scaled - _mm512_set1_ps(shift));
      _mm512_storeu_ps(values + i, exponential);
      sums += exponential;
    }
    sum = sum_of<float>(reinterpret_cast<Simd<float>::Vector>(sums));
  }
#endif
  // Not marked `omp simd`: the compiler vectorises it in f32, and cannot in f64 (std::exp).
  for (std::int64_t j = i; j < count; ++j) values[j] = fast_exp(values[j] * scale - shift);
#pragma omp simd reduction(+ : sum)
  for (std::int64_t j = i; j < count; ++j) sum += values[j];
  return sum;
}

inline float fast_tanh(float x) {
  const float a = x < 0 ? -x : x;
  // Near 0 a polynomial in x²; elsewhere 1 − 2/(exp(2|x|) + 1), where nothing cancels.
  const float z = x * x;
  float q = -0.00609671417f;
  q = q * z + 0.0209971790f;
  q = q * z - 0.0538509096f;
  q = q * z + 0.133327697f;
  q = q * z - 0.333333289f;
  const float near = x * (1.0f + z * q);
  const float far = 1.0f - 2.0f / (fast_exp(2.0f * a) + 1.0f);
  const float signed_far = x < 0 ? -far : far;
  return a < 0.625f ? near : signed_far;
}

inline double fast_tanh(double x) {
  return std::tanh(x);
}

}  // namespace MASQUE_LEVEL_HELPERS
}  // namespace masque
