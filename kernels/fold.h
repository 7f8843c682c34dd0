// What the lanes of many vectors come to, each vector's for itself, all at once: half the work of
// one after the other, and none waits for another.
#pragma once

#include <utility>

#include "kernels/level.h"
#include "kernels/units.h"

namespace masque {
inline namespace MASQUE_LEVEL_HELPERS {

// Within each run of 2·Half lanes: the halves of a, combined, then those of b.
template <int Half, class Vector, class Combine, int... N>
inline Vector fold_halves(const Vector& a, const Vector& b, const Combine& combine,
                          std::integer_sequence<int, N...> /*lanes*/) {
  constexpr int lanes = sizeof...(N);
  const Vector low =
      __builtin_shufflevector(a, b, (N % (2 * Half) < Half ? N : lanes + N - Half)...);
  const Vector high =
      __builtin_shufflevector(a, b, (N % (2 * Half) < Half ? N + Half : lanes + N)...);
  return combine(low, high);
}

// Of as many vectors as each has lanes: lane n is what vector n's lanes come to. Overwrites them.
template <class Unit, class Combine, int Half = static_cast<int>(Simd<Unit>::lanes / 2)>
inline typename Simd<Unit>::Vector fold(typename Simd<Unit>::Vector* vectors,
                                        const Combine& combine) {
  constexpr std::make_integer_sequence<int, static_cast<int>(Simd<Unit>::lanes)> lanes;
#pragma GCC unroll 8
  for (int n = 0; n < Half; ++n) {
    vectors[n] = fold_halves<Half>(vectors[n], vectors[n + Half], combine, lanes);
  }
  if constexpr (Half > 1) {
    return fold<Unit, Combine, Half / 2>(vectors, combine);
  } else {
    return vectors[0];
  }
}

template <class Unit>
inline typename Simd<Unit>::Vector sums_of(typename Simd<Unit>::Vector* vectors) {
  return fold<Unit>(vectors, [](const auto& a, const auto& b) { return a + b; });
}

template <class Unit>
inline typename Simd<Unit>::Vector maxima_of(typename Simd<Unit>::Vector* vectors) {
  return fold<Unit>(vectors, [](const auto& a, const auto& b) { return a > b ? a : b; });
}

}  // namespace MASQUE_LEVEL_HELPERS
}  // namespace masque
