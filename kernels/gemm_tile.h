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
  typedef Real Quad
      __attribute__((vector_size(4 * sizeof(Real)), aligned(alignof(Real)), may_alias));
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

// to(k, n) = from(n, k) for 4 × 4 elements, both with contiguous rows.
template <class Real>
inline void transpose_4x4(Real* to, std::int64_t to_stride, const Real* from,
                          std::int64_t from_stride) {
  using Quad = typename Simd<Real>::Quad;
  Quad row[4], pair[4];
  for (int i = 0; i < 4; ++i) row[i] = *reinterpret_cast<const Quad*>(from + i * from_stride);
  for (int i = 0; i < 2; ++i) {
    pair[2 * i] = __builtin_shufflevector(row[2 * i], row[2 * i + 1], 0, 4, 1, 5);
    pair[2 * i + 1] = __builtin_shufflevector(row[2 * i], row[2 * i + 1], 2, 6, 3, 7);
  }
  for (int i = 0; i < 2; ++i) {
    *reinterpret_cast<Quad*>(to + 2 * i * to_stride) =
        __builtin_shufflevector(pair[i], pair[2 + i], 0, 1, 4, 5);
    *reinterpret_cast<Quad*>(to + (2 * i + 1) * to_stride) =
        __builtin_shufflevector(pair[i], pair[2 + i], 2, 3, 6, 7);
  }
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
  std::int64_t n = 0;
  for (; row_stride == 1 && n + 4 <= filled; n += 4) {
    const Real* from = b + (column + n) * col_stride;
    std::int64_t k = 0;
    for (; k + 4 <= rows; k += 4) {
      transpose_4x4(packed + k * width + n, width, from + k, col_stride);
    }
    for (; k < rows; ++k) {
      for (std::int64_t i = 0; i < 4; ++i) packed[k * width + n + i] = from[i * col_stride + k];
    }
  }
  for (; n < filled; ++n) {
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

// A matrix read one scalar at a time: element (m, k) is data[m·row_stride + k·col_stride].
template <class Real>
struct Strided {
  const Real* data;
  std::int64_t row_stride, col_stride;
};

// A (rows, columns) matrix packed by pack_panels.
template <class Real>
struct Panels {
  const Real* data;
  std::int64_t rows, columns;
};

// C (Rows, Vectors·lanes) (+)= A (Rows, K) · one panel (K, Vectors·lanes).
template <class Real, int Rows, int Vectors>
inline void multiply_tile(Real* c, std::int64_t c_stride, const Strided<Real>& a, const Real* panel,
                          std::int64_t K, bool accumulate) {
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
      const Real factor = a.data[row * a.row_stride + k * a.col_stride];
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
inline void multiply_panel(Real* c, std::int64_t c_stride, const Strided<Real>& a,
                           const Real* panel, std::int64_t M, std::int64_t K, bool accumulate) {
  std::int64_t m = 0;
  const auto rows = [&]<int Rows>() {
    for (; m + Rows <= M; m += Rows) {
      const Strided<Real> block = {a.data + m * a.row_stride, a.row_stride, a.col_stride};
      multiply_tile<Real, Rows, Vectors>(c + m * c_stride, c_stride, block, panel, K, accumulate);
    }
  };
  rows.template operator()<kTileRows>();
  rows.template operator()<4>();
  rows.template operator()<2>();
  rows.template operator()<1>();
}

// C (M, N) (+)= A (M, K) · the first K rows and N columns of B. Whole panels are computed: C has
// room for N rounded up to panels, or to vectors where N is all of B's columns.
template <class Real>
inline void multiply_packed(Real* c, std::int64_t c_stride, const Strided<Real>& a,
                            const Panels<Real>& b, std::int64_t M, std::int64_t N, std::int64_t K,
                            bool accumulate) {
  for (std::int64_t n = 0; n < N; n += Simd<Real>::panel) {
    const Real* panel = b.data + n * b.rows;
    if (panel_width<Real>(b.columns, n) == Simd<Real>::lanes) {
      multiply_panel<Real, 1>(c + n, c_stride, a, panel, M, K, accumulate);
    } else {
      multiply_panel<Real, kPanelVectors>(c + n, c_stride, a, panel, M, K, accumulate);
    }
  }
}

}  // namespace masque
