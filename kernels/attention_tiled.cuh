// Products of tiles on tensor cores, for attention: a warp holds sets of 16 rows, and walks over
// tiles of columns that the whole block has in shared memory. In registers: sums[set][n][e] is row
// 16·set + lane/4 + e/2·8, column 8n + lane%4·2 + e%2.
#pragma once

#include "kernels/gpu.h"
#include "kernels/pack.cuh"

namespace masque {

constexpr int kTiledWarps = 4;
constexpr int kTiledThreads = 32 * kTiledWarps;
constexpr int kMmaRows = 16;

// From row to row of a tile in shared memory: the eight rows of an ldmatrix are in other banks.
template <int HS>
constexpr int kTileStride = HS + 8;

template <int HS>
constexpr std::size_t tile_room(int rows) {
  return shared_room(sizeof(bf16) * static_cast<std::size_t>(rows) * kTileStride<HS>);
}

// Starts to copy rows first … first + Rows of a head into a tile; zeros from row `end` on.
template <int HS, int Rows>
__device__ __forceinline__ void copy_tile(bf16* tile, const bf16* rows, std::int64_t stride,
                                          int first, int end) {
  constexpr int kPieces = HS / kPack<bf16>;
  static_assert(Rows * kPieces % kTiledThreads == 0);
  GPU_UNROLL
  for (int n = 0; n < Rows * kPieces; n += kTiledThreads) {
    const int at = n + static_cast<int>(threadIdx.x);
    const int row = at / kPieces, piece = at % kPieces * kPack<bf16>;
    copy_async16(tile + row * kTileStride<HS> + piece, rows + (first + row) * stride + piece,
                 first + row < end);
  }
}

// sums += rows · columnsᵀ, both tiles of HS wide rows: `rows` the warp's own, `columns` 8·N of
// them.
template <int HS, int Sets, int N>
__device__ __forceinline__ void add_multiplied(float (&sums)[Sets][N][4], const bf16* rows,
                                               const bf16* columns) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  rows += lane % 16 * kTileStride<HS> + lane / 16 * 8;
  columns += (lane % 8 + lane / 16 * 8) * kTileStride<HS> + lane / 8 % 2 * 8;
  GPU_UNROLL
  for (int d = 0; d < HS; d += 16) {
    std::uint32_t a[Sets][4];
    GPU_UNROLL
    for (int set = 0; set < Sets; ++set) {
      ldmatrix_x4(a[set], rows + set * kMmaRows * kTileStride<HS> + d);
    }
    GPU_UNROLL
    for (int n = 0; n < N; n += 2) {
      std::uint32_t both[4];
      ldmatrix_x4(both, columns + n * 8 * kTileStride<HS> + d);
      const std::uint32_t b[2][2] = {{both[0], both[1]}, {both[2], both[3]}};
      GPU_UNROLL
      for (int set = 0; set < Sets; ++set) {
        mma_bf16(sums[set][n], a[set], b[0]);
        mma_bf16(sums[set][n + 1], a[set], b[1]);
      }
    }
  }
}

// sums = rows · columnsᵀ.
template <int HS, int Sets, int N>
__device__ __forceinline__ void multiply(float (&sums)[Sets][N][4], const bf16* rows,
                                         const bf16* columns) {
  GPU_UNROLL
  for (int set = 0; set < Sets; ++set) {
    GPU_UNROLL
    for (int n = 0; n < N; ++n) {
      for (float& sum : sums[set][n]) sum = 0;
    }
  }
  add_multiplied<HS>(sums, rows, columns);
}

// sums += weights · columns: weights (rounded to bf16) over 8·N columns, a tile of HS wide rows.
template <int HS, int Sets, int N>
__device__ __forceinline__ void add_product(float (&sums)[Sets][HS / 8][4],
                                            const float (&weights)[Sets][N][4],
                                            const bf16* columns) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  columns += lane % 16 * kTileStride<HS> + lane / 16 * 8;
  GPU_UNROLL
  for (int n = 0; n < N; n += 2) {
    std::uint32_t a[Sets][4];
    GPU_UNROLL
    for (int set = 0; set < Sets; ++set) {
      const float(&left)[4] = weights[set][n], (&right)[4] = weights[set][n + 1];
      a[set][0] = pack_rounded(left[0], left[1]);
      a[set][1] = pack_rounded(left[2], left[3]);
      a[set][2] = pack_rounded(right[0], right[1]);
      a[set][3] = pack_rounded(right[2], right[3]);
    }
    GPU_UNROLL
    for (int d = 0; d < HS / 8; d += 2) {
      std::uint32_t both[4];
      ldmatrix_x4_trans(both, columns + n * 8 * kTileStride<HS> + d * 8);
      const std::uint32_t b[2][2] = {{both[0], both[1]}, {both[2], both[3]}};
      GPU_UNROLL
      for (int set = 0; set < Sets; ++set) {
        mma_bf16(sums[set][d], a[set], b[0]);
        mma_bf16(sums[set][d + 1], a[set], b[1]);
      }
    }
  }
}

// Writes a warp's sums times `factor` as rows first … of a tensor of T rows, and zeros from row
// `length` on. By way of the warp's own rows of `tile`, which nobody reads any more.
template <int HS, int Sets>
__device__ __forceinline__ void write_rows(bf16* rows, std::int64_t stride, bf16* tile,
                                           const float (&sums)[Sets][HS / 8][4], float factor,
                                           int first, int length, int T) {
  constexpr int kPieces = HS / kPack<bf16>;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  __syncwarp();
  GPU_UNROLL
  for (int set = 0; set < Sets; ++set) {
    GPU_UNROLL
    for (int n = 0; n < HS / 8; ++n) {
      const float(&sum)[4] = sums[set][n];
      bf16* to = tile + (set * kMmaRows + lane / 4) * kTileStride<HS> + n * 8 + lane % 4 * 2;
      store_as(to, pack_rounded(sum[0] * factor, sum[1] * factor));
      store_as(to + 8 * kTileStride<HS>, pack_rounded(sum[2] * factor, sum[3] * factor));
    }
  }
  __syncwarp();
  for (int n = lane; n < Sets * kMmaRows * kPieces; n += 32) {
    const int row = n / kPieces, piece = n % kPieces * kPack<bf16>;
    if (first + row >= T) break;
    const uint4 words = load_as<uint4>(tile + row * kTileStride<HS> + piece);
    store_as(rows + (first + row) * stride + piece, first + row < length ? words : uint4{});
  }
}

// Over the four lanes that hold a row.
__device__ __forceinline__ float quad_sum(float value) {
  value += __shfl_xor_sync(kAllLanes, value, 1);
  return value + __shfl_xor_sync(kAllLanes, value, 2);
}

__device__ __forceinline__ float quad_max(float value) {
  value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, 1));
  return fmaxf(value, __shfl_xor_sync(kAllLanes, value, 2));
}

}  // namespace masque
