// What the ways of kernels/gemm.cpp to multiply share: the operands under their strides, blocks of
// C, and how one is computed and stored.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/gemm.h"
#include "kernels/level.h"
#include "kernels/product.h"

namespace masque {
inline namespace MASQUE_LEVEL_HELPERS {

// A whole tile as it lies on the stack before it is converted, or where C has no room for it.
inline constexpr std::int64_t kBlockRows = std::max<std::int64_t>(2 * kTileSide, kTileRows);
template <class Unit>
struct alignas(64) Block {
  typename Simd<Unit>::Lane values[kBlockRows * Simd<Unit>::panel];
};

template <class Real>
Strided<Real> left_of(const Gemm<Real>& args) {
  if (args.transpose_a) return {args.a, 1, args.M};
  return {args.a, args.K, 1};
}

template <class Real>
Strided<Real> right_of(const Gemm<Real>& args) {
  if (args.transpose_b) return {args.b, 1, args.K};
  return {args.b, args.N, 1};
}

// Rows of a step through a block of rows, and where they start.
template <class Unit>
inline constexpr std::int64_t kStep = kTiled<Unit> ? 2 * kTileSide : kTileRows;

template <class Unit>
TileRows<Unit> step_of(const TileRows<Unit>& rows, std::int64_t m, std::int64_t units) {
  return {rows.data + m * units};
}
template <class Unit>
Strided<Unit> step_of(const Strided<Unit>& rows, std::int64_t m, std::int64_t) {
  return rows.from(m, 0);
}

// The first `filled` columns of a block of sums, (count, width), plus the bias, become C's or are
// added to them.
template <class Lane, class Out, class Bias>
void store_block(Out* c, std::int64_t c_stride, Lane* block, std::int64_t width, std::int64_t count,
                 std::int64_t filled, bool accumulate, const Bias* bias) {
  for (std::int64_t row = 0; row < count; ++row) {
    Lane* sums = block + row * width;
    Out* to = c + row * c_stride;
    if (bias != nullptr) {
#pragma omp simd
      for (std::int64_t n = 0; n < filled; ++n) sums[n] += static_cast<Lane>(bias[n]);
    }
    if (accumulate) {
#pragma omp simd
      for (std::int64_t n = 0; n < filled; ++n) to[n] = to[n] + sums[n];
    } else if constexpr (std::is_same_v<Out, bf16>) {
      narrow(to, sums, filled);
    } else {
      std::copy_n(sums, filled, to);
    }
  }
}

// C (M, width) of one panel (+)= rows · panel, over `units` of the sum. Whole blocks of an f32 C
// are summed where they lie, the others by way of a copy.
template <class Unit, class Left, class Out, class Bias>
void multiply_block(Out* c, std::int64_t c_stride, const Left& rows, const Unit* panel,
                    std::int64_t M, std::int64_t width, std::int64_t filled, std::int64_t units,
                    bool accumulate, const Bias* bias) {
  using Lane = typename Simd<Unit>::Lane;
  constexpr std::int64_t step = kStep<Unit>;
  const auto multiply = [&](Lane* to, std::int64_t stride, std::int64_t m, std::int64_t count,
                            bool add) {
    multiply_panel_of(width, to, stride, step_of(rows, m, units), panel, count, units, add);
  };
  for (std::int64_t m = 0; m < M; m += step) {
    const std::int64_t count = std::min(step, M - m);
    Out* at = c + m * c_stride;
    if constexpr (std::is_same_v<Out, Lane>) {
      if (width == filled && (!kTiled<Unit> || count % kTileSide == 0)) {
        multiply(at, c_stride, m, count, accumulate);
        for (std::int64_t row = 0; bias != nullptr && row < count; ++row) {
#pragma omp simd
          for (std::int64_t n = 0; n < filled; ++n) at[row * c_stride + n] += bias[n];
        }
        continue;
      }
    }
    Block<Unit> block;
    multiply(block.values, width, m, count, false);
    store_block(at, c_stride, block.values, width, count, filled, accumulate, bias);
  }
}

// Blocks of C, one a task, fixed by the shape.
struct Blocks {
  std::int64_t rows, columns, down, across;

  Blocks(std::int64_t M, std::int64_t N, std::int64_t most_rows, std::int64_t most_columns)
      : rows(most_rows),
        columns(most_columns),
        down((M + most_rows - 1) / most_rows),
        across((N + most_columns - 1) / most_columns) {}

  std::int64_t tasks() const { return down * across; }
  // Down first: threads then share columns, which divide more evenly than rows of whole tiles.
  std::int64_t row(std::int64_t task) const { return task % down * rows; }
  std::int64_t column(std::int64_t task) const { return task / down * columns; }
};

}  // namespace MASQUE_LEVEL_HELPERS
}  // namespace masque
