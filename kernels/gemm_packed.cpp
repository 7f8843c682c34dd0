#include <omp.h>

#include <algorithm>
#include <memory>

#include "kernels/gemm.h"
#include "kernels/gemm_tile.h"

namespace masque {
namespace {

constexpr std::int64_t kDepth = 256;  // of the sum at a time: a panel of it stays in the L1 cache

// A block of op(A), (M, K), as tiles of kTileRows rows, each stored column after column.
template <class Real>
void pack_rows(Real* packed, const Gemm<Real>& args, std::int64_t m0, std::int64_t k0,
               std::int64_t M, std::int64_t K) {
  const std::int64_t row_stride = args.transpose_a ? 1 : args.K;
  const std::int64_t col_stride = args.transpose_a ? args.M : 1;
  const Real* a = args.a + m0 * row_stride + k0 * col_stride;
  for (std::int64_t m = 0; m < M; m += kTileRows) {
    const std::int64_t rows = std::min<std::int64_t>(kTileRows, M - m);
    const Real* from = a + m * row_stride;
    Real* tile = packed + m * K;
    if (rows == kTileRows && row_stride == 1) {
      for (std::int64_t k = 0; k < K; ++k) {
        std::copy_n(from + k * col_stride, kTileRows, tile + k * kTileRows);
      }
      continue;
    }
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t k = 0; k < K; ++k) {
        tile[k * kTileRows + row] = from[row * row_stride + k * col_stride];
      }
    }
  }
}

// One panel of one row block for one depth: whole tiles straight into C, the rest through a copy.
template <class Real>
void multiply_block(const Gemm<Real>& args, Real* c, const Real* rows, const Real* panel,
                    std::int64_t M, std::int64_t width, std::int64_t filled, std::int64_t K,
                    bool accumulate) {
  constexpr std::int64_t widest = Simd<Real>::panel;
  for (std::int64_t m = 0; m < M; m += kTileRows) {
    const std::int64_t count = std::min<std::int64_t>(kTileRows, M - m);
    const Strided<Real> a = {rows + m * K, 1, kTileRows};
    Real* tile = c + m * args.N;
    if (width == widest && filled == widest && count == kTileRows) {
      multiply_tile<Real, kTileRows, kPanelVectors>(tile, args.N, a, panel, K, accumulate);
      continue;
    }
    Real copy[kTileRows * widest] = {};
    for (std::int64_t row = 0; accumulate && row < count; ++row) {
      std::copy_n(tile + row * args.N, filled, copy + row * width);
    }
    multiply_packed<Real>(copy, width, a, {panel, K, width}, count, width, K, accumulate);
    for (std::int64_t row = 0; row < count; ++row) {
      std::copy_n(copy + row * width, filled, tile + row * args.N);
    }
  }
}

template <class Real>
void add_bias(const Gemm<Real>& args, std::int64_t m0, std::int64_t n0, std::int64_t M,
              std::int64_t N) {
  for (std::int64_t m = m0; m < m0 + M; ++m) {
    Real* row = args.c + m * args.N + n0;
    for (std::int64_t n = 0; n < N; ++n) row[n] += args.bias[n0 + n];
  }
}

// The sum over nothing: C is the bias, or 0, or stays.
template <class Real>
void multiply_empty(const Gemm<Real>& args) {
  for (std::int64_t m = 0; !args.accumulate && m < args.M; ++m) {
    Real* row = args.c + m * args.N;
    if (args.bias) {
      std::copy_n(args.bias, args.N, row);
    } else {
      std::fill_n(row, args.N, Real{0});
    }
  }
}

template <class Real>
void multiply(const Gemm<Real>& args) {
  if (args.M == 0 || args.N == 0) return;
  if (args.K == 0) return multiply_empty(args);
  constexpr std::int64_t panel = Simd<Real>::panel;
  GemmBlocks blocks = gemm_blocks(args.M, args.N);
  blocks.columns = round_up(blocks.columns, panel);
  const std::int64_t across = (args.N + blocks.columns - 1) / blocks.columns;
  const std::int64_t tasks = (args.M + blocks.rows - 1) / blocks.rows * across;
  const std::int64_t panels = (args.N + panel - 1) / panel;
  const std::int64_t slice = round_up(blocks.rows, kTileRows) * kDepth;
  const auto b = std::make_unique_for_overwrite<Real[]>(packed_size<Real>(args.K, args.N));
  const auto a = std::make_unique_for_overwrite<Real[]>(omp_get_max_threads() * slice);
  const std::int64_t row_stride = args.transpose_b ? 1 : args.N;
  const std::int64_t col_stride = args.transpose_b ? args.K : 1;
#pragma omp parallel
  {
#pragma omp for schedule(static)
    for (std::int64_t p = 0; p < panels; ++p) {
      const std::int64_t n = p * panel;
      pack_panel(b.get() + n * args.K, args.b, row_stride, col_stride, args.K, args.N, n,
                 panel_width<Real>(args.N, n));
    }
    Real* rows = a.get() + omp_get_thread_num() * slice;
#pragma omp for schedule(static)
    for (std::int64_t task = 0; task < tasks; ++task) {
      const std::int64_t m0 = task / across * blocks.rows;
      const std::int64_t n0 = task % across * blocks.columns;
      const std::int64_t M = std::min(blocks.rows, args.M - m0);
      const std::int64_t N = std::min(blocks.columns, args.N - n0);
      for (std::int64_t k0 = 0; k0 < args.K; k0 += kDepth) {
        const std::int64_t K = std::min(kDepth, args.K - k0);
        pack_rows(rows, args, m0, k0, M, K);
        for (std::int64_t n = n0; n < n0 + N; n += panel) {
          const std::int64_t width = panel_width<Real>(args.N, n);
          multiply_block<Real>(args, args.c + m0 * args.N + n, rows,
                               b.get() + n * args.K + k0 * width, M, width,
                               std::min(width, args.N - n), K, args.accumulate || k0 > 0);
        }
      }
      if (args.bias) add_bias(args, m0, n0, M, N);
    }
  }
}

}  // namespace

void gemm_packed(const Gemm<float>& args) {
  multiply(args);
}

void gemm_packed(const Gemm<double>& args) {
  multiply(args);
}

}  // namespace masque
