// The inner product kernel of the CPU: C (+)= A·B where B lies packed in panels of a few SIMD
// vectors, zero beyond its last column, and A is read one scalar at a time under any strides. A
// block of kTileRows × kPanelVectors vectors of C stays in registers, as in Goto & van de Geijn
// 2008, "Anatomy of high-performance matrix multiplication". Single-threaded; used by gemm where
// oneDNN is not, and by attention.
#pragma once

#include <algorithm>
#include <cstdint>

namespace masque {

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

template <class Real>
struct Simd {
  typedef Real Vector __attribute__((vector_size(kVectorBytes)));
  // The same in memory, at any address of a Real.
  typedef Real Stored __attribute__((vector_size(kVectorBytes), aligned(alignof(Real)), may_alias));
  static constexpr std::int64_t lanes = kVectorBytes / static_cast<int>(sizeof(Real));
  static constexpr std::int64_t panel = lanes * kPanelVectors;  // columns of a whole panel
};

constexpr std::int64_t round_up(std::int64_t count, std::int64_t multiple) {
  return (count + multiple - 1) / multiple * multiple;
}

// Columns of the panel that starts at `column` of `columns`: the last one may be one vector wide.
template <class Real>
constexpr std::int64_t panel_width(std::int64_t columns, std::int64_t column) {
  return columns - column <= Simd<Real>::lanes ? Simd<Real>::lanes : Simd<Real>::panel;
}

// Elements of the packed form of a (rows, columns) matrix.
template <class Real>
constexpr std::int64_t packed_size(std::int64_t rows, std::int64_t columns) {
  return rows * round_up(columns, Simd<Real>::lanes);
}

// One panel: `width` columns of B from `column` on, where B(k, n) = b[k·row_stride + n·col_stride].
template <class Real>
inline void pack_panel(Real* packed, const Real* b, std::int64_t row_stride,
                       std::int64_t col_stride, std::int64_t rows, std::int64_t columns,
                       std::int64_t column, std::int64_t width) {
  const std::int64_t filled = std::min(width, columns - column);
  if (col_stride == 1) {
    for (std::int64_t k = 0; k < rows; ++k) {
      Real* to = packed + k * width;
      std::copy_n(b + k * row_stride + column, filled, to);
      std::fill(to + filled, to + width, Real{0});
    }
    return;
  }
  for (std::int64_t n = 0; n < filled; ++n) {
    const Real* from = b + (column + n) * col_stride;
    for (std::int64_t k = 0; k < rows; ++k) packed[k * width + n] = from[k * row_stride];
  }
  for (std::int64_t k = 0; k < rows; ++k) {
    std::fill(packed + k * width + filled, packed + (k + 1) * width, Real{0});
  }
}

// The whole of B (rows, columns), panel after panel.
template <class Real>
inline void pack_panels(Real* packed, const Real* b, std::int64_t row_stride,
                        std::int64_t col_stride, std::int64_t rows, std::int64_t columns) {
  for (std::int64_t column = 0; column < columns; column += Simd<Real>::panel) {
    const std::int64_t width = panel_width<Real>(columns, column);
    pack_panel(packed + column * rows, b, row_stride, col_stride, rows, columns, column, width);
  }
}

// C (Rows, Vectors·lanes) (+)= A (Rows, K) · one panel (K, Vectors·lanes).
template <class Real, int Rows, int Vectors>
inline void multiply_tile(Real* c, std::int64_t c_stride, const Real* a, std::int64_t a_row_stride,
                          std::int64_t a_col_stride, const Real* panel, std::int64_t K,
                          bool accumulate) {
  using Vector = typename Simd<Real>::Vector;
  using Stored = typename Simd<Real>::Stored;
  constexpr std::int64_t lanes = Simd<Real>::lanes;
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
  for (std::int64_t k = 0; k < K; ++k) {
    Vector b[Vectors];
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) {
      b[v] = *reinterpret_cast<const Stored*>(panel + (k * Vectors + v) * lanes);
    }
#pragma GCC unroll 8
    for (int row = 0; row < Rows; ++row) {
      const Real factor = a[row * a_row_stride + k * a_col_stride];
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) sum[row][v] += factor * b[v];
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

// As above for any number of rows.
template <class Real, int Vectors>
inline void multiply_panel(Real* c, std::int64_t c_stride, const Real* a, std::int64_t a_row_stride,
                           std::int64_t a_col_stride, const Real* panel, std::int64_t M,
                           std::int64_t K, bool accumulate) {
  std::int64_t m = 0;
  const auto rows = [&]<int Rows>() {
    for (; m + Rows <= M; m += Rows) {
      multiply_tile<Real, Rows, Vectors>(c + m * c_stride, c_stride, a + m * a_row_stride,
                                         a_row_stride, a_col_stride, panel, K, accumulate);
    }
  };
  rows.template operator()<kTileRows>();
  rows.template operator()<4>();
  rows.template operator()<2>();
  rows.template operator()<1>();
}

// C (M, N) (+)= A (M, K) · B, B (K, N) packed. C has room for N rounded up to whole vectors, where
// B has `columns` ≥ N columns; of its panels only those that hold the first N are used, and then C
// needs room for N rounded up to whole panels.
template <class Real>
inline void multiply_packed(Real* c, std::int64_t c_stride, const Real* a,
                            std::int64_t a_row_stride, std::int64_t a_col_stride,
                            const Real* packed, std::int64_t M, std::int64_t N, std::int64_t K,
                            std::int64_t columns, bool accumulate) {
  for (std::int64_t n = 0; n < N; n += Simd<Real>::panel) {
    const Real* panel = packed + n * K;
    if (panel_width<Real>(columns, n) == Simd<Real>::lanes) {
      multiply_panel<Real, 1>(c + n, c_stride, a, a_row_stride, a_col_stride, panel, M, K,
                              accumulate);
    } else {
      multiply_panel<Real, kPanelVectors>(c + n, c_stride, a, a_row_stride, a_col_stride, panel, M,
                                          K, accumulate);
    }
  }
}

}  // namespace masque
