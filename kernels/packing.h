// Matrices brought into the order in which kernels/product.h reads them: B in panels of a few SIMD
// vectors, zero beyond its last column; A in rows of units.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/level.h"
#include "kernels/pair_block.h"
#include "kernels/units.h"

namespace masque {
inline namespace MASQUE_LEVEL_HELPERS {

// The unit of (k·depth, n), …, 0 past the end of the sum.
template <class Unit, class Source>
inline Unit unit_at(const Source* source, std::int64_t stride, std::int64_t left) {
  if constexpr (std::is_same_v<Unit, Source>) {
    return source[0];
  } else if constexpr (kUnitDepth<Unit> == 2) {
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
    typedef std::uint32_t Word __attribute__((may_alias));
    const Source* second = left > 1 ? from + next : from;
    const std::uint32_t mask = left > 1 ? 0xffff0000u : 0;
    Word* words = reinterpret_cast<Word*>(to);
#pragma omp simd
    for (std::int64_t n = 0; n < count; ++n) {
      words[n] = bits_of(from[n]) | (bits_of(second[n]) << 16 & mask);
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
    std::int64_t k = 0;
#ifdef __AVX512BF16__
    if constexpr (depth == 2 && std::is_same_v<Source, bf16>) {
      if (filled == 32) interleave_rows(packed, first, b.row_stride, k = K / 2);
    }
#endif
    for (; k < real; ++k) {
      copy_row(packed + k * width, first + k * depth * b.row_stride, b.row_stride, K - k * depth,
               filled);
    }
    done = filled;
  }
#ifdef __AVX512BF16__
  if constexpr (depth == 2) {
    for (; b.row_stride == 1 && done < filled; done += 16) {
      const std::int64_t across = std::min<std::int64_t>(16, filled - done);
      for (std::int64_t k = 0; k < real; k += 4) {
        const bf16* from = first + done * b.col_stride + 2 * k;
        Unit* to = packed + k * width + done;
        if (across == 16 && 2 * k + 8 <= K) {
          transpose_pairs(to, width, from, b.col_stride);
        } else {
          transpose_pairs_at_edge(to, width, std::min<std::int64_t>(4, real - k), across, from,
                                  b.col_stride, across, std::min<std::int64_t>(8, K - 2 * k));
        }
      }
    }
    done = std::min(done, filled);
  }
#endif
  if constexpr (std::is_same_v<Unit, Source>) {
    for (; b.row_stride == 1 && done + 4 <= filled; done += 4) {
      const Unit* from = first + done * b.col_stride;
      std::int64_t k = 0;
      for (; k + 4 <= K; k += 4) {
        transpose_4x4(packed + k * width + done, width, from + k, b.col_stride);
      }
      for (; k < K; ++k) {
        for (std::int64_t i = 0; i < 4; ++i) {
          packed[k * width + done + i] = from[i * b.col_stride + k];
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
  if (real < units) {
    std::memset(static_cast<void*>(packed + real * width), 0,
                (units - real) * width * sizeof(Unit));
  }
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

// Units from row to row of A as copy_rows leaves it. Pairs want their numbers side by side; tiles
// want whole ones, and rows that do not share cache sets.
template <class Unit>
constexpr std::int64_t row_units(std::int64_t K) {
  return depth_of<Unit>(K) + (kTiled<Unit> ? kTileSide : 0);
}

// Units of `M` such rows.
template <class Unit>
constexpr std::int64_t rows_size(std::int64_t M, std::int64_t K) {
  return (kTiled<Unit> ? round_up(M, kTileSide) : M) * row_units<Unit>(K);
}

// copy_rows of a transposed matrix by pairs in registers; false where that is not to be done.
template <class Unit, class Source>
inline bool pairs_of_columns([[maybe_unused]] Unit* room, [[maybe_unused]] const Strided<Source>& a,
                             [[maybe_unused]] std::int64_t M, [[maybe_unused]] std::int64_t K) {
#ifdef __AVX512BF16__
  if constexpr (kUnitDepth<Unit> == 2) {
    if (a.row_stride != 1) return false;
    const std::int64_t stride = row_units<Unit>(K), pairs = (K + 1) / 2;
    for (std::int64_t k = 0; k < pairs; k += 16) {  // row after row of the source
      for (std::int64_t m = 0; m < M; m += 8) {
        const Source* from = a.at(m, 2 * k);
        Unit* to = room + m * stride + k;
        if (M - m >= 8 && K - 2 * k >= 32) {
          pair_columns(to, stride, from, a.col_stride);
        } else {
          const std::int64_t rows = std::min<std::int64_t>(8, M - m);
          pair_columns_at_edge(to, stride, rows, std::min<std::int64_t>(16, pairs - k), from,
                               a.col_stride, std::min<std::int64_t>(32, K - 2 * k), rows);
        }
      }
    }
    return true;
  }
#endif
  return false;
}

// A (M, K) as rows of units, in `room`.
template <class Unit, class Source>
inline Strided<Unit> copy_rows(Unit* room, const Strided<Source>& a, std::int64_t M,
                               std::int64_t K) {
  constexpr std::int64_t depth = kUnitDepth<Unit>;
  const std::int64_t units = depth_of<Unit>(K), stride = row_units<Unit>(K), whole = K / depth;
  const std::int64_t real = (K + depth - 1) / depth;
  if (a.col_stride == 1) {
    for (std::int64_t m = 0; m < M; ++m) {
      const Source* from = a.data + m * a.row_stride;
      Unit* to = room + m * stride;
      if constexpr (depth == 1) {
        for (std::int64_t k = 0; k < K; ++k) to[k] = unit_at<Unit>(from + k, 1, 1);
      } else if constexpr (std::is_same_v<Source, bf16>) {
        std::memcpy(static_cast<void*>(to), from, whole * sizeof(Unit));
      } else {
        narrow(&to->first, from, 2 * whole);
      }
      if (whole < real) to[whole] = unit_at<Unit>(from + whole * depth, 1, 1);
    }
  } else if (!pairs_of_columns(room, a, M, K)) {
    for (std::int64_t k = 0; k < real; ++k) {
      const Source* from = a.data + k * depth * a.col_stride;
      for (std::int64_t m = 0; m < M; ++m) {
        room[m * stride + k] = unit_at<Unit>(from + m * a.row_stride, a.col_stride, K - k * depth);
      }
    }
  }
  for (std::int64_t m = 0; m < M && real < units; ++m) {
    std::memset(static_cast<void*>(room + m * stride + real), 0, (units - real) * sizeof(Unit));
  }
  if constexpr (kTiled<Unit>) {
    std::memset(static_cast<void*>(room + M * stride), 0,
                (round_up(M, kTileSide) - M) * stride * sizeof(Unit));
  }
  return {room, stride, 1};
}

// Rows of A as the inner loop likes them, where it is not of tiles: kTileRows at a time, each such
// group stored column after column.
template <class Unit, class Source>
TileRows<Unit> pack_rows(Unit* room, const Strided<Source>& a, std::int64_t M, std::int64_t K) {
  constexpr std::int64_t depth = std::is_same_v<Unit, Source> ? 1 : kUnitDepth<Unit>;
  const std::int64_t units = depth_of<Unit>(K);
  if constexpr (depth == 2 && std::is_same_v<Source, bf16>) {  // pairs as they lie
    if (a.col_stride == 1 && a.row_stride % 2 == 0 && K % 2 == 0) {
      const Unit* pairs = reinterpret_cast<const Unit*>(a.data);
      return pack_rows(room, Strided<Unit>{pairs, a.row_stride / 2, 1}, M, K);
    }
  }
  for (std::int64_t m = 0; m < M; m += kTileRows) {
    const std::int64_t rows = std::min<std::int64_t>(kTileRows, M - m);
    Unit* tile = room + m * units;
    if (a.row_stride == 1 && rows == kTileRows) {
      for (std::int64_t k = 0; k < units; ++k) {
        copy_row(tile + k * kTileRows, a.data + m + k * depth * a.col_stride, a.col_stride,
                 K - k * depth, kTileRows);
      }
      continue;
    }
    std::int64_t k = 0;
    if constexpr (std::is_same_v<Unit, Source>) {  // four rows at a time, the last ones again
      const Source* from = a.data + m * a.row_stride;
      for (; a.col_stride == 1 && rows == kTileRows && k + 4 <= units; k += 4) {
        transpose_4x4(tile + k * kTileRows, kTileRows, from + k, a.row_stride);
        transpose_4x4(tile + k * kTileRows + kTileRows - 4, kTileRows,
                      from + (kTileRows - 4) * a.row_stride + k, a.row_stride);
      }
    }
    for (std::int64_t row = 0; row < rows; ++row) {
      const Source* from = a.data + (m + row) * a.row_stride;
      for (std::int64_t j = k; j < units; ++j) {
        tile[j * kTileRows + row] =
            unit_at<Unit>(from + j * depth * a.col_stride, a.col_stride, K - j * depth);
      }
    }
  }
  return {room};
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

}  // namespace MASQUE_LEVEL_HELPERS
}  // namespace masque
