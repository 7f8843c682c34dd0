// Products of a handful of rows (decoding), as dot products: every weight is read once, from where
// it lies.
#pragma once

#include <cstdint>

#include "kernels/dot.h"
#include "kernels/gemm.h"
#include "kernels/level.h"

namespace masque {
inline namespace MASQUE_LEVEL_HELPERS {

// C(m0 + i, n0 + j) for i < Rows, j < Columns, as dot products of rows of A and of Bᵀ.
template <int Rows, int Columns, class Real, class Out>
void multiply_dots(const Gemm<Real>& args, Out* c, std::int64_t m0, std::int64_t n0) {
  using Sum = sum_t<Real>;
  constexpr std::int64_t step = Dot<Real>::step;
  const std::int64_t K = args.K, whole = Dot<Real>::masked ? K : K - K % step;
  const Real *a = args.a + m0 * K, *b = args.b + n0 * K;
  typename Dot<Real>::Vector sums[Rows][Columns] = {};
  for (std::int64_t k = 0; k < whole; k += step) {
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < Columns; ++j) {
        Dot<Real>::add(sums[i][j], a + i * K + k, b + j * K + k, whole - k);
      }
    }
  }
  for (int i = 0; i < Rows; ++i) {
    for (int j = 0; j < Columns; ++j) {
      Sum sum = sum_of<Sum>(sums[i][j]);
      for (std::int64_t k = whole; k < K; ++k) {
        sum += static_cast<Sum>(a[i * K + k]) * static_cast<Sum>(b[j * K + k]);
      }
      if (args.bias != nullptr) sum += static_cast<Sum>(args.bias[n0 + j]);
      c[(m0 + i) * args.N + n0 + j] = static_cast<Out>(sum);
    }
  }
}

// All rows of the columns n … n + Columns.
template <int Columns, class Real, class Out>
void multiply_columns(const Gemm<Real>& args, Out* c, std::int64_t n) {
  constexpr int most = kTileRows >= 8 ? 8 : 4;
  std::int64_t m = 0;
  for (; m + most <= args.M; m += most) multiply_dots<most, Columns>(args, c, m, n);
  for (; m + 2 <= args.M; m += 2) multiply_dots<2, Columns>(args, c, m, n);
  for (; m < args.M; ++m) multiply_dots<1, Columns>(args, c, m, n);
}

}  // namespace MASQUE_LEVEL_HELPERS
}  // namespace masque
