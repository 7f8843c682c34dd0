// The inner products of the CPU: C (+)= A·B where B lies packed in panels. A block of C stays in
// registers, as in Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication".
// Single-threaded; used by gemm and by attention.
#pragma once

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/level.h"
#include "kernels/packing.h"
#include "kernels/tiles.h"
#include "kernels/units.h"

namespace masque {
inline namespace MASQUE_LEVEL_HELPERS {

// One step of the sum: a unit of A against a row of a panel.
template <class Unit>
inline void add_product(typename Simd<Unit>::Vector& sum, const Unit* a,
                        const typename Simd<Unit>::Vector& b) {
#ifdef __AVX512BF16__
  if constexpr (std::is_same_v<Unit, BfPair>) {
    int pair;
    std::memcpy(&pair, a, sizeof(pair));
    sum = _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair)),
                           reinterpret_cast<__m512bh>(b));
    return;
  }
#endif
  sum += *reinterpret_cast<const typename Simd<Unit>::Lane*>(a) * b;
}

// C (Rows, Vectors·lanes) (+)= A (Rows, units) · one panel.
template <int Rows, int Vectors, class Unit, class Left>
inline void multiply_tile(typename Simd<Unit>::Lane* c, std::int64_t c_stride, const Left& a,
                          const Unit* panel, std::int64_t units, bool accumulate) {
  using Vector = typename Simd<Unit>::Vector;
  using Stored = typename Simd<Unit>::Stored;
  constexpr std::int64_t lanes = Simd<Unit>::lanes;
  Vector sum[Rows][Vectors] = {};
  if (accumulate) {
#pragma GCC unroll 8
    for (int row = 0; row < Rows; ++row) {
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) {
        sum[row][v] = *reinterpret_cast<const Stored*>(c + row * c_stride + v * lanes);
      }
    }
  }
  for (std::int64_t k = 0; k < units; ++k) {
    Vector b[Vectors];
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) {
      b[v] = *reinterpret_cast<const Stored*>(panel + (k * Vectors + v) * lanes);
    }
#pragma GCC unroll 8
    for (int row = 0; row < Rows; ++row) {
      const Unit* factor = a.at(row, k);
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) add_product(sum[row][v], factor, b[v]);
    }
  }
#pragma GCC unroll 8
  for (int row = 0; row < Rows; ++row) {
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) {
      *reinterpret_cast<Stored*>(c + row * c_stride + v * lanes) = sum[row][v];
    }
  }
}

// As multiply_tile for any number of rows. Tiles compute whole ones: C then has room for rows
// rounded up to kTileSide.
template <int Vectors, class Unit, class Left>
inline void multiply_panel(typename Simd<Unit>::Lane* c, std::int64_t c_stride, const Left& a,
                           const Unit* panel, std::int64_t M, std::int64_t units, bool accumulate) {
  std::int64_t m = 0;
#ifdef __AMX_BF16__
  if constexpr (kTiled<Unit>) {
    for (; m + kTileSide < M; m += 2 * kTileSide) {
      multiply_tiles<2, Vectors>(c + m * c_stride, c_stride, a.from(m, 0), panel, units,
                                 accumulate);
    }
    if (m < M) {
      multiply_tiles<1, Vectors>(c + m * c_stride, c_stride, a.from(m, 0), panel, units,
                                 accumulate);
    }
    return;
  }
#endif
  const auto rows = [&]<int Rows>() {
    for (; m + Rows <= M; m += Rows) {
      multiply_tile<Rows, Vectors>(c + m * c_stride, c_stride, a.from(m, 0), panel, units,
                                   accumulate);
    }
  };
  rows.template operator()<kTileRows>();
  rows.template operator()<4>();
  rows.template operator()<2>();
  rows.template operator()<1>();
}

// The same for a panel `width` lanes wide (panel_width).
template <class Unit, class Left>
inline void multiply_panel_of(std::int64_t width, typename Simd<Unit>::Lane* c,
                              std::int64_t c_stride, const Left& a, const Unit* panel,
                              std::int64_t M, std::int64_t units, bool accumulate) {
  if (width == Simd<Unit>::panel) {
    multiply_panel<kPanelVectors>(c, c_stride, a, panel, M, units, accumulate);
  } else {
    multiply_panel<1>(c, c_stride, a, panel, M, units, accumulate);
  }
}

// C (M, N) (+)= A (M, K) · the first K rows and N columns of B. Whole panels are computed: C has
// room for N rounded up to panels, or to vectors where N is all of B's columns.
template <class Unit>
inline void multiply_packed(typename Simd<Unit>::Lane* c, std::int64_t c_stride,
                            const Strided<Unit>& a, const Panels<Unit>& b, std::int64_t M,
                            std::int64_t N, std::int64_t K, bool accumulate) {
  const std::int64_t stored = depth_of<Unit>(b.K), units = depth_of<Unit>(K);
  for (std::int64_t n = 0; n < N; n += Simd<Unit>::panel) {
    multiply_panel_of(panel_width<Unit>(b.columns, n), c + n, c_stride, a, b.data + n * stored, M,
                      units, accumulate);
  }
}

}  // namespace MASQUE_LEVEL_HELPERS
}  // namespace masque
