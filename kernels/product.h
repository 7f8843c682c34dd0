// The inner products of the CPU: C (+)= A·B where B lies packed in panels of a few SIMD vectors,
// zero beyond its last column. A block of C stays in registers, as in Goto & van de Geijn 2008,
// "Anatomy of high-performance matrix multiplication". Single-threaded; used by gemm and by
// attention.
//
// What is multiplied are units, summed in f32 (f64 for f64): numbers of the type itself; bf16
// widened to f32; or, on CPUs with products of bf16, pairs of bf16 that follow one another along
// the sum. Such a pair is one lane of 32 bits, so that panels look alike at every level.
#pragma once

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/level.h"

namespace masque {
inline namespace MASQUE_LEVEL_HELPERS {

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

// Two neighbours along the sum; the second is 0 past its end.
struct BfPair {
  bf16 first, second;
};

// How a type is multiplied: the unit, how many numbers it holds, and what the sum is.
template <class Real>
struct Multiplied {
  using Unit = Real;
  using Sum = Real;
};
template <>
struct Multiplied<bf16> {
#ifdef __AVX512BF16__
  using Unit = BfPair;
#else
  using Unit = float;
#endif
  using Sum = float;
};
template <class Real>
using unit_t = typename Multiplied<Real>::Unit;
template <class Real>
using sum_t = typename Multiplied<Real>::Sum;
template <class Unit>
inline constexpr std::int64_t kUnitDepth = std::is_same_v<Unit, BfPair> ? 2 : 1;

// Tiles (AMX) are 16 rows of 16 lanes, and read A as rows of whole tiles.
#ifdef __AMX_BF16__
template <class Unit>
inline constexpr bool kTiled = std::is_same_v<Unit, BfPair>;
#else
template <class Unit>
inline constexpr bool kTiled = false;
#endif
inline constexpr std::int64_t kTileSide = 16;

template <class Unit>
struct Simd {
  static_assert(std::is_same_v<Unit, float> || std::is_same_v<Unit, double> ||
                std::is_same_v<Unit, BfPair>);
  using Lane = std::conditional_t<std::is_same_v<Unit, double>, double, float>;
  typedef Lane Vector __attribute__((vector_size(kVectorBytes)));
  // The same in memory, at any address of a Lane.
  typedef Lane Stored __attribute__((vector_size(kVectorBytes), aligned(alignof(Unit)), may_alias));
  typedef Lane Quad
      __attribute__((vector_size(4 * sizeof(Lane)), aligned(alignof(Unit)), may_alias));
  static constexpr std::int64_t lanes = kVectorBytes / static_cast<int>(sizeof(Lane));
  static constexpr std::int64_t panel = lanes * kPanelVectors;  // columns of a whole panel
};

constexpr std::int64_t round_up(std::int64_t count, std::int64_t multiple) {
  return (count + multiple - 1) / multiple * multiple;
}

// Units along a sum of K numbers; whole tiles of them where the level has tiles.
template <class Unit>
constexpr std::int64_t depth_of(std::int64_t K) {
  const std::int64_t units = (K + kUnitDepth<Unit> - 1) / kUnitDepth<Unit>;
  return kTiled<Unit> ? round_up(units, kTileSide) : units;
}

// Columns of the panel that starts at `column` of `columns`: the last one may be one vector wide.
template <class Unit>
constexpr std::int64_t panel_width(std::int64_t columns, std::int64_t column) {
  return columns - column <= Simd<Unit>::lanes ? Simd<Unit>::lanes : Simd<Unit>::panel;
}

// Units of the packed form of B, (K, columns).
template <class Unit>
constexpr std::int64_t packed_size(std::int64_t K, std::int64_t columns) {
  return depth_of<Unit>(K) * round_up(columns, Simd<Unit>::lanes);
}

// A matrix under any strides: element (m, k) is data[m·row_stride + k·col_stride].
template <class Element>
struct Strided {
  const Element* data;
  std::int64_t row_stride, col_stride;

  const Element* at(std::int64_t row, std::int64_t column) const {
    return data + row * row_stride + column * col_stride;
  }
  Strided from(std::int64_t row, std::int64_t column) const {
    return {at(row, column), row_stride, col_stride};
  }
};

// kTileRows rows, stored column after column: strides that the inner loop knows.
template <class Unit>
struct TileRows {
  const Unit* data;

  const Unit* at(std::int64_t row, std::int64_t k) const { return data + k * kTileRows + row; }
  TileRows from(std::int64_t row, std::int64_t k) const { return {at(row, k)}; }
};

// B (K, columns), packed by pack_panels.
template <class Unit>
struct Panels {
  const Unit* data;
  std::int64_t K, columns;
};

// The unit of (k·depth, n), …, 0 past the end of the sum.
template <class Unit, class Source>
inline Unit unit_at(const Source* source, std::int64_t stride, std::int64_t left) {
  if constexpr (kUnitDepth<Unit> == 2) {
    return {static_cast<bf16>(source[0]),
            left > 1 ? static_cast<bf16>(source[stride]) : bf16(0.0f)};
  } else {
    return static_cast<Unit>(source[0]);
  }
}

// to(k, n) = from(n, k) for 4 × 4 lanes, both with contiguous rows, strides in units.
template <class Unit>
inline void transpose_4x4(Unit* to, std::int64_t to_stride, const Unit* from,
                          std::int64_t from_stride) {
  using Quad = typename Simd<Unit>::Quad;
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

// A whole panel's rows of numbers that lie side by side: one vector conversion a row.
template <class Unit, class Source>
inline void copy_row(Unit* to, const Source* from, std::int64_t next, std::int64_t left,
                     std::int64_t count) {
  if constexpr (std::is_same_v<Unit, Source>) {  // in vectors: a call of memcpy costs more
    using Stored = typename Simd<Unit>::Stored;
    constexpr std::int64_t lanes = Simd<Unit>::lanes;
    std::int64_t n = 0;
    for (; n + lanes <= count; n += lanes) {
      *reinterpret_cast<Stored*>(to + n) = *reinterpret_cast<const Stored*>(from + n);
    }
    for (; n < count; ++n) to[n] = from[n];
  } else if constexpr (kUnitDepth<Unit> == 1) {
#pragma omp simd
    for (std::int64_t n = 0; n < count; ++n) to[n] = static_cast<Unit>(from[n]);
  } else {
    const Source* second = left > 1 ? from + next : from;
    const std::uint16_t mask = left > 1 ? 0xffff : 0;
#pragma omp simd
    for (std::int64_t n = 0; n < count; ++n) {
      to[n].first = static_cast<bf16>(from[n]);
      to[n].second.bits = static_cast<bf16>(second[n]).bits & mask;
    }
  }
}

// Columns `column` … of b as one panel `width` wide. Whole 4 × 4 blocks are transposed in registers
// where numbers along the sum lie side by side and need no conversion.
template <class Unit, class Source>
inline void pack_panel(Unit* packed, const Strided<Source>& b, std::int64_t K, std::int64_t columns,
                       std::int64_t column, std::int64_t width) {
  constexpr std::int64_t depth = kUnitDepth<Unit>;
  const std::int64_t filled = std::min(width, columns - column), units = depth_of<Unit>(K);
  const std::int64_t real = (K + depth - 1) / depth;  // units with a number in them
  const Source* first = b.data + column * b.col_stride;
  std::int64_t done = 0;  // columns
  if (b.col_stride == 1) {
    for (std::int64_t k = 0; k < real; ++k) {
      copy_row(packed + k * width, first + k * depth * b.row_stride, b.row_stride, K - k * depth,
               filled);
    }
    done = filled;
  }
  constexpr bool alike =
      sizeof(Unit) == depth * sizeof(Source) && (depth == 2 || std::is_same_v<Unit, Source>);
  if constexpr (alike) {
    for (; b.row_stride == 1 && done + 4 <= filled && b.col_stride % depth == 0; done += 4) {
      const Unit* from = reinterpret_cast<const Unit*>(first + done * b.col_stride);
      const std::int64_t stride = b.col_stride / depth, whole = K / depth;
      std::int64_t k = 0;
      for (; k + 4 <= whole; k += 4) {
        transpose_4x4(packed + k * width + done, width, from + k, stride);
      }
      for (; k < real; ++k) {
        for (std::int64_t i = 0; i < 4; ++i) {
          packed[k * width + done + i] =
              unit_at<Unit>(first + (done + i) * b.col_stride + k * depth, 1, K - k * depth);
        }
      }
    }
  }
  for (; done < filled; ++done) {
    const Source* from = first + done * b.col_stride;
    for (std::int64_t k = 0; k < real; ++k) {
      packed[k * width + done] =
          unit_at<Unit>(from + k * depth * b.row_stride, b.row_stride, K - k * depth);
    }
  }
  for (std::int64_t k = 0; k < real && filled < width; ++k) {
    std::memset(static_cast<void*>(packed + k * width + filled), 0,
                (width - filled) * sizeof(Unit));
  }
  std::memset(static_cast<void*>(packed + real * width), 0, (units - real) * width * sizeof(Unit));
}

// The whole of B, (K, columns) = b(k, n), panel after panel.
template <class Unit, class Source>
inline void pack_panels(Unit* packed, const Strided<Source>& b, std::int64_t K,
                        std::int64_t columns) {
  for (std::int64_t column = 0; column < columns; column += Simd<Unit>::panel) {
    pack_panel(packed + column * depth_of<Unit>(K), b, K, columns, column,
               panel_width<Unit>(columns, column));
  }
}

// Units of `M` rows of A as copy_rows leaves them. Pairs want their numbers side by side; tiles
// want whole ones.
template <class Unit>
constexpr std::int64_t rows_size(std::int64_t M, std::int64_t K) {
  return (kTiled<Unit> ? round_up(M, kTileSide) : M) * depth_of<Unit>(K);
}

// A (M, K) as rows of units, in `room`.
template <class Unit, class Source>
inline Strided<Unit> copy_rows(Unit* room, const Strided<Source>& a, std::int64_t M,
                               std::int64_t K) {
  constexpr std::int64_t depth = kUnitDepth<Unit>;
  const std::int64_t units = depth_of<Unit>(K), whole = K / depth;
  const std::int64_t real = (K + depth - 1) / depth;
  if (a.col_stride == 1) {
    for (std::int64_t m = 0; m < M; ++m) {
      const Source* from = a.data + m * a.row_stride;
      Unit* to = room + m * units;
#pragma omp simd
      for (std::int64_t k = 0; k < whole; ++k) to[k] = unit_at<Unit>(from + k * depth, 1, depth);
      if (whole < real) to[whole] = unit_at<Unit>(from + whole * depth, 1, 1);
    }
  } else {
    for (std::int64_t k = 0; k < real; ++k) {
      const Source* from = a.data + k * depth * a.col_stride;
      for (std::int64_t m = 0; m < M; ++m) {
        room[m * units + k] = unit_at<Unit>(from + m * a.row_stride, a.col_stride, K - k * depth);
      }
    }
  }
  for (std::int64_t m = 0; m < M && real < units; ++m) {
    std::memset(static_cast<void*>(room + m * units + real), 0, (units - real) * sizeof(Unit));
  }
  if constexpr (kTiled<Unit>) {
    std::memset(static_cast<void*>(room + M * units), 0,
                (round_up(M, kTileSide) - M) * units * sizeof(Unit));
  }
  return {room, units, 1};
}

// The rows that the inner loop takes for A: `a` itself where it can be read so, else a copy in
// `room`.
template <class Unit, class Source>
inline Strided<Unit> as_rows(Unit* room, const Strided<Source>& a, std::int64_t M, std::int64_t K) {
  if constexpr (std::is_same_v<Unit, Source>) {
    return a;
  } else if constexpr (kUnitDepth<Unit> == 2 && std::is_same_v<Source, bf16>) {
    const bool whole = K == 2 * depth_of<Unit>(K) && (!kTiled<Unit> || M % kTileSide == 0);
    if (whole && a.col_stride == 1 && a.row_stride % 2 == 0) {
      return {reinterpret_cast<const Unit*>(a.data), a.row_stride / 2, 1};
    }
  }
  return copy_rows(room, a, M, K);
}

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

#ifdef __AMX_BF16__

// The shape of all eight tiles, for as long as it lives: one a thread, around its products.
class Tiles {
 public:
  Tiles() {
    struct alignas(64) {
      std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
      std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } shape;
    // GCC 12 takes _tile_loadconfig to read 8 bytes, and may leave the rest unwritten.
    __asm__ volatile("" : : "r"(&shape) : "memory");
    _tile_loadconfig(&shape);
  }
  ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
};

// C (16·Rows, 16·Vectors) (+)= A · one panel, 16 units of the sum a time. Tiles 0–3 are C, 4–5 A,
// 6–7 B.
template <int Rows, int Vectors>
inline void multiply_tiles(float* c, std::int64_t c_stride, const Strided<BfPair>& a,
                           const BfPair* panel, std::int64_t units, bool accumulate) {
  const std::int64_t c_bytes = c_stride * 4, a_bytes = a.row_stride * 4, b_bytes = Vectors * 64;
  float* below = c + kTileSide * c_stride;
  if (accumulate) {
    _tile_loadd(0, c, c_bytes);
    if constexpr (Vectors > 1) _tile_loadd(1, c + kTileSide, c_bytes);
    if constexpr (Rows > 1) _tile_loadd(2, below, c_bytes);
    if constexpr (Rows > 1 && Vectors > 1) _tile_loadd(3, below + kTileSide, c_bytes);
  } else {
    _tile_zero(0);
    if constexpr (Vectors > 1) _tile_zero(1);
    if constexpr (Rows > 1) _tile_zero(2);
    if constexpr (Rows > 1 && Vectors > 1) _tile_zero(3);
  }
  for (std::int64_t k = 0; k < units; k += kTileSide) {
    const BfPair* b = panel + k * Vectors * kTileSide;
    _tile_loadd(4, a.data + k, a_bytes);
    _tile_loadd(6, b, b_bytes);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (Vectors > 1) {
      _tile_loadd(7, b + kTileSide, b_bytes);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (Rows > 1) {
      _tile_loadd(5, a.data + kTileSide * a.row_stride + k, a_bytes);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (Vectors > 1) _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, c, c_bytes);
  if constexpr (Vectors > 1) _tile_stored(1, c + kTileSide, c_bytes);
  if constexpr (Rows > 1) _tile_stored(2, below, c_bytes);
  if constexpr (Rows > 1 && Vectors > 1) _tile_stored(3, below + kTileSide, c_bytes);
}

#else

class Tiles {
 public:
  Tiles() {}
};

#endif

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

// C (M, N) (+)= A (M, K) · the first K rows and N columns of B. Whole panels are computed: C has
// room for N rounded up to panels, or to vectors where N is all of B's columns.
template <class Unit>
inline void multiply_packed(typename Simd<Unit>::Lane* c, std::int64_t c_stride,
                            const Strided<Unit>& a, const Panels<Unit>& b, std::int64_t M,
                            std::int64_t N, std::int64_t K, bool accumulate) {
  const std::int64_t stored = depth_of<Unit>(b.K), units = depth_of<Unit>(K);
  for (std::int64_t n = 0; n < N; n += Simd<Unit>::panel) {
    const Unit* panel = b.data + n * stored;
    if (panel_width<Unit>(b.columns, n) == Simd<Unit>::lanes) {
      multiply_panel<1>(c + n, c_stride, a, panel, M, units, accumulate);
    } else {
      multiply_panel<kPanelVectors>(c + n, c_stride, a, panel, M, units, accumulate);
    }
  }
}

}  // namespace MASQUE_LEVEL_HELPERS
}  // namespace masque
