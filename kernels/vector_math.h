// exp and tanh for float without branches or calls: a loop marked `omp simd` vectorises them, and
// exp comes for vectors too. At most 2 ulp from the true value over every float, denormal results
// included; NaN is kept, exp(−∞) is 0 and tanh(±∞) is ±1. The double overloads are the standard
// library's: the f64 path is the reference. Range reduction by Cody & Waite 1980, polynomials
// interpolated at Chebyshev nodes.
#pragma once

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "kernels/level.h"
#include "kernels/row_parts.h"
#include "kernels/units.h"

namespace masque {
inline namespace MASQUE_LEVEL_HELPERS {

// Value: float or a vector of them; Word: an int of the same size, or a vector of those.
template <class Value, class Word>
inline Value exp_of_floats(Value x) {
  const auto all = [](float value) { return Value{} + value; };
  // Beyond these the result is 0 or ∞ all the same. The comparisons are false for NaN.
  x = x < all(-104.0f) ? all(-104.0f) : x;
  x = x > all(89.0f) ? all(89.0f) : x;
  // n = round(x / ln 2), found in the low bits of the sum with 1.5·2²³.
  const Value shifted = x * 1.442695041f + 12582912.0f;
  const Value n = shifted - 12582912.0f;
  const Word shift = std::bit_cast<Word>(shifted) - 0x4B400000;
  // r = x − n·ln 2 in two parts; the first has 9 bits, so that its product is exact.
  const Value r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Value q = r * 0.00139262508f + 0.00836323288f;
  q = q * r + 0.0416665542f;
  q = q * r + 0.166665767f;
  q = q * r + 0.5f;
  const Value mantissa = (q * (r * r) + r) + 1.0f;
  // 2ⁿ as a product of two, since n may be 128 or lie below the normal exponents.
  const Word half = shift >> 1;
  return mantissa * std::bit_cast<Value>((half + 127) << 23) *
         std::bit_cast<Value>((shift - half + 127) << 23);
}

inline float fast_exp(float x) {
  return exp_of_floats<float, std::int32_t>(x);
}

inline double fast_exp(double x) {
  return std::exp(x);
}

// Of each lane.
template <class Real>
inline VectorOf<Real> fast_exp(const VectorOf<Real>& vector) {
  if constexpr (std::is_same_v<Real, double>) {
    VectorOf<double> result;
    for (std::int64_t n = 0; n < Simd<double>::lanes; ++n) result[n] = std::exp(vector[n]);
    return result;
  } else {
#ifdef __AVX512F__
    // An instruction multiplies by 2ⁿ; but 0 for what would be denormal, which it takes long over.
    const auto all = [](float value) { return _mm512_set1_ps(value); };
    auto x = reinterpret_cast<__m512>(vector);
    const __mmask16 normal = _mm512_cmp_ps_mask(x, all(-87.3365402f), _CMP_NLE_UQ);  // or NaN
    x = _mm512_maskz_min_ps(normal, all(89.0f), x);  // the second operand where one is NaN
    const __m512 n = x * all(1.442695041f) + all(12582912.0f) - all(12582912.0f);
    const __m512 r = (x - n * all(0.693359375f)) + n * all(2.12194440e-4f);
    __m512 q = r * all(0.00139262508f) + all(0.00836323288f);
    q = q * r + all(0.0416665542f);
    q = q * r + all(0.166665767f);
    q = q * r + all(0.5f);
    return reinterpret_cast<VectorOf<float>>(
        _mm512_maskz_scalef_ps(normal, (q * (r * r) + r) + all(1.0f), n));
#else
    typedef std::int32_t Words __attribute__((vector_size(kVectorBytes)));
    return exp_of_floats<VectorOf<float>, Words>(vector);
#endif
  }
}

// 1/(1 + exp(−x)) of each lane.
template <class Real>
inline VectorOf<Real> sigmoid(const VectorOf<Real>& x) {
#ifdef __AVX512F__
  if constexpr (std::is_same_v<Real, float>) {
    // A division takes longer than all else: 14 bits of the reciprocal and a step of Newton's. Up
    // to 87, so that the sum is finite.
    constexpr __mmask16 kAll = 0xFFFF;  // without a mask GCC 12 warns
    const __m512 minus =
        _mm512_maskz_min_ps(kAll, _mm512_set1_ps(87.0f), -reinterpret_cast<__m512>(x));
    const auto sum =
        reinterpret_cast<__m512>(fast_exp<float>(reinterpret_cast<VectorOf<float>>(minus)) + 1.0f);
    const __m512 near = _mm512_maskz_rcp14_ps(kAll, sum);
    return reinterpret_cast<VectorOf<float>>(near * (_mm512_set1_ps(2.0f) - sum * near));
  }
#endif
  return 1 / (1 + fast_exp<Real>(-x));
}

// to[i] = exp(values[i]·scale − shift), for i < count, a multiple of a vector's lanes; returns
// their sums, lane by lane. What is stored is multiplied by keep[i], where that is given.
template <class To, class Real>
inline VectorOf<Real> exp_row(To* to, const Real* values, std::int64_t count, Real scale,
                              Real shift, const Real* keep = nullptr) {
  VectorOf<Real> sums = {};
  for_parts<Real>(count, [&](const auto& part) {
    VectorOf<Real> exponential = fast_exp<Real>(part.load(values) * scale - shift);
    sums += exponential;
    if (keep != nullptr) exponential *= part.load(keep);
    part.store(to, exponential);
  });
  return sums;
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
