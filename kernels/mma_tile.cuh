// Products of bf16 tiles on tensor cores: a warp holds sets of 16 rows, and walks over tiles of
// columns that the whole block has in shared memory. In registers: sums[set][n][e] is row
// 16·set + lane/4 + e/2·8, column 8n + lane%4·2 + e%2.
#pragma once

#include "kernels/gpu.h"
#include "kernels/pack.cuh"

namespace masque {

constexpr int kMmaRows = 16;

// Where a tile in shared memory has element (row, column) of its rows of kWidth elements. In both
// forms the eight rows of an ldmatrix are in other banks: by a piece of padding a row, or by the
// order of a row's pieces.
template <int Width>
struct PaddedTile {
  static constexpr int kWidth = Width, kStride = Width + kPack<bf16>;
  __device__ static __forceinline__ int at(int row, int column) { return row * kStride + column; }
};
struct SwizzledTile {
  static constexpr int kWidth = 64, kStride = kWidth;
  __device__ static __forceinline__ int at(int row, int column) {
    return (row * kStride + row % 8 * kPack<bf16>)^column;
  }
};

template <class Tile>
constexpr std::size_t tile_room(int rows) {
  return shared_room(sizeof(bf16) * static_cast<std::size_t>(rows) * Tile::kStride);
}

// Where a lane's address for ldmatrix_x4 is, of 16 rows and columns from `column`: the matrices are
// rows 0 … 7, rows 8 … 15, and both again 8 columns on.
template <class Tile>
__device__ __forceinline__ int lane_address(int lane, int column) {
  return Tile::at(lane % 16, column + lane / 16 * 8);
}

// sums += rows · columnsᵀ, both tiles: `rows` the warp's own, `columns` 8·N of
// them.
template <class Tile, int Sets, int N>
__device__ __forceinline__ void add_multiplied(float (&sums)[Sets][N][4], const bf16* rows,
                                               const bf16* columns) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  GPU_UNROLL
  for (int d = 0; d < Tile::kWidth; d += 16) {
    std::uint32_t a[Sets][4];
    GPU_UNROLL
    for (int set = 0; set < Sets; ++set) {
      ldmatrix_x4(a[set], rows + set * kMmaRows * Tile::kStride + lane_address<Tile>(lane, d));
    }
    GPU_UNROLL
    for (int n = 0; n < N; n += 2) {
      std::uint32_t both[4];
      ldmatrix_x4(both, columns + n * 8 * Tile::kStride + lane_address<Tile>(lane, d));
      const std::uint32_t b[2][2] = {{both[0], both[2]}, {both[1], both[3]}};
      GPU_UNROLL
      for (int set = 0; set < Sets; ++set) {
        mma_bf16(sums[set][n], a[set], b[0]);
        mma_bf16(sums[set][n + 1], a[set], b[1]);
      }
    }
  }
}

// sums = rows · columnsᵀ.
template <class Tile, int Sets, int N>
__device__ __forceinline__ void multiply(float (&sums)[Sets][N][4], const bf16* rows,
                                         const bf16* columns) {
  GPU_UNROLL
  for (int set = 0; set < Sets; ++set) {
    GPU_UNROLL
    for (int n = 0; n < N; ++n) {
      for (float& sum : sums[set][n]) sum = 0;
    }
  }
  add_multiplied<Tile>(sums, rows, columns);
}

// sums += weights · columns: weights (rounded to bf16) over 8·N columns, a tile.
template <class Tile, int Sets, int N>
__device__ __forceinline__ void add_product(float (&sums)[Sets][Tile::kWidth / 8][4],
                                            const float (&weights)[Sets][N][4],
                                            const bf16* columns) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
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
    for (int d = 0; d < Tile::kWidth / 8; d += 2) {
      std::uint32_t both[4];
      ldmatrix_x4_trans(both, columns + n * 8 * Tile::kStride + lane_address<Tile>(lane, d * 8));
      const std::uint32_t b[2][2] = {{both[0], both[1]}, {both[2], both[3]}};
      GPU_UNROLL
      for (int set = 0; set < Sets; ++set) {
        mma_bf16(sums[set][d], a[set], b[0]);
        mma_bf16(sums[set][d + 1], a[set], b[1]);
      }
    }
  }
}

// Rounds a warp's sums times `factor` to columns column0 … of its rows of a tile.
template <class Tile, int Sets, int N>
__device__ __forceinline__ void store_tile(bf16* tile, const float (&sums)[Sets][N][4],
                                           float factor, int column0) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  GPU_UNROLL
  for (int set = 0; set < Sets; ++set) {
    GPU_UNROLL
    for (int n = 0; n < N; ++n) {
      const float(&sum)[4] = sums[set][n];
      bf16* to = tile + set * kMmaRows * Tile::kStride +
                 Tile::at(lane / 4, column0 + n * 8 + lane % 4 * 2);
      store_as(to, pack_rounded(sum[0] * factor, sum[1] * factor));
      store_as(to + 8 * Tile::kStride, pack_rounded(sum[2] * factor, sum[3] * factor));
    }
  }
}

// Writes a warp's sums times `factor` as rows first …, columns column0 … of a tensor of T rows, and
// zeros from row `length` on. By way of these elements of `tile`, which only the warp still uses.
template <class Tile, int Sets, int N>
__device__ __forceinline__ void write_rows(bf16* rows, std::int64_t stride, bf16* tile,
                                           const float (&sums)[Sets][N][4], float factor, int first,
                                           int length, int T, int column0 = 0) {
  constexpr int kPieces = 8 * N / kPack<bf16>;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  __syncwarp();
  store_tile<Tile>(tile, sums, factor, column0);
  __syncwarp();
  for (int n = lane; n < Sets * kMmaRows * kPieces; n += 32) {
    const int row = n / kPieces, column = column0 + n % kPieces * kPack<bf16>;
    if (first + row >= T) break;
    const uint4 words = load_as<uint4>(tile + Tile::at(row, column));
    store_as(rows + (first + row) * stride + column, first + row < length ? words : uint4{});
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
