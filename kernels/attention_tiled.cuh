// Products of tiles on tensor cores, for attention: a warp holds sets of 16 rows, and walks over
// tiles of columns that the whole block has in shared memory. In registers: sums[set][n][e] is row
// 16·set + lane/4 + e/2·8, column 8n + lane%4·2 + e%2.
#pragma once

#include <algorithm>

#include "kernels/attention_head.cuh"
#include "kernels/gpu.h"
#include "kernels/pack.cuh"

namespace masque {

constexpr int kMmaRows = 16;
constexpr float kLog2e = 1.4426950408889634f, kLn2 = 0.6931471805599453f;

// Where a tile in shared memory has element (row, column) of its rows of HS elements. In both forms
// the eight rows of an ldmatrix are in other banks: by a piece of padding a row, or by the order of
// a row's pieces.
template <int Size>
struct PaddedTile {
  static constexpr int HS = Size, kStride = HS + kPack<bf16>;
  __device__ static __forceinline__ int at(int row, int column) { return row * kStride + column; }
};
struct SwizzledTile {
  static constexpr int HS = 64, kStride = HS;
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

// sums += rows · columnsᵀ, both tiles of HS wide rows: `rows` the warp's own, `columns` 8·N of
// them.
template <class Tile, int Sets, int N>
__device__ __forceinline__ void add_multiplied(float (&sums)[Sets][N][4], const bf16* rows,
                                               const bf16* columns) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  GPU_UNROLL
  for (int d = 0; d < Tile::HS; d += 16) {
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

// sums += weights · columns: weights (rounded to bf16) over 8·N columns, a tile of HS wide rows.
template <class Tile, int Sets, int N>
__device__ __forceinline__ void add_product(float (&sums)[Sets][Tile::HS / 8][4],
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
    for (int d = 0; d < Tile::HS / 8; d += 2) {
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

// Gives −∞ to scores of rows from i0 and keys from j0 that no row sees (keys from `end` on), or
// where causal not this one.
template <int Sets, int N>
__device__ __forceinline__ void hide_keys(float (&scores)[Sets][N][4], int i0, int j0, int end,
                                          bool causal) {
  if (j0 + 8 * N <= end && !(causal && j0 + 8 * N - 1 > i0)) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  GPU_UNROLL
  for (int set = 0; set < Sets; ++set) {
    GPU_UNROLL
    for (int e = 0; e < 4; ++e) {
      const int i = i0 + set * kMmaRows + lane / 4 + e / 2 * 8;
      const int visible = causal ? std::min(i + 1, end) : end;
      GPU_UNROLL
      for (int n = 0; n < N; ++n) {
        if (j0 + 8 * n + lane % 4 * 2 + e % 2 >= visible) scores[set][n][e] = -INFINITY;
      }
    }
  }
}

// Which weights of `queries` rows from i0 and kKeepKeys·chunks keys from j0 are kept: of one warp,
// which alone reads them.
__device__ __forceinline__ void draw_keeps(std::uint16_t* keeps, const AttentionDropout& dropout,
                                           int i0, int j0, int queries, int chunks) {
  __syncwarp();
  GPU_ROLLED
  for (int n = static_cast<int>(threadIdx.x) % 32; n < queries * chunks; n += 32) {
    keeps[n] = dropout.keep(i0 + n / chunks, j0 + n % chunks * kKeepKeys);
  }
  __syncwarp();
}

__device__ __forceinline__ bool is_kept(const std::uint16_t* keeps, int query, int key,
                                        int chunks) {
  return (keeps[query * chunks + key / kKeepKeys] >> key % kKeepKeys & 1) != 0;
}

// Takes away the weights, rows of queries, that are not kept.
template <int Sets, int N>
__device__ __forceinline__ void drop(float (&weights)[Sets][N][4], const std::uint16_t* keeps) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  GPU_UNROLL
  for (int set = 0; set < Sets; ++set) {
    GPU_UNROLL
    for (int n = 0; n < N; ++n) {
      GPU_UNROLL
      for (int e = 0; e < 4; ++e) {
        const int row = set * kMmaRows + lane / 4 + e / 2 * 8, key = 8 * n + lane % 4 * 2 + e % 2;
        if (!is_kept(keeps, row, key, 8 * N / kKeepKeys)) weights[set][n][e] = 0;
      }
    }
  }
}

// The softmax so far of each row that a lane holds part of: [set][e/2].
template <int Sets>
struct OnlineSoftmax {
  float largest[Sets][2], sum[Sets][2];

  __device__ OnlineSoftmax() {
    GPU_UNROLL
    for (int n = 0; n < 2 * Sets; ++n) {
      largest[n / 2][n % 2] = -INFINITY;
      sum[n / 2][n % 2] = 0;
    }
  }

  // From scores to weights exp2(scale·(score − largest)); shrinks what was summed before.
  template <int N, int D>
  __device__ __forceinline__ void add(float (&scores)[Sets][N][4], float (&out)[Sets][D][4],
                                      float scale) {
    GPU_UNROLL
    for (int set = 0; set < Sets; ++set) {
      GPU_UNROLL
      for (int half = 0; half < 2; ++half) {
        const int first = 2 * half;
        float top = largest[set][half];
        GPU_UNROLL
        for (int n = 0; n < N; ++n) {
          top = fmaxf(top, fmaxf(scores[set][n][first], scores[set][n][first + 1]));
        }
        top = quad_max(top);
        const float shrink = exp2_approx((largest[set][half] - top) * scale);
        largest[set][half] = top;
        GPU_UNROLL
        for (int d = 0; d < D; ++d) {
          out[set][d][first] *= shrink;
          out[set][d][first + 1] *= shrink;
        }
        float total = sum[set][half] * shrink;
        GPU_UNROLL
        for (int n = 0; n < N; ++n) {
          GPU_UNROLL
          for (int e = first; e < first + 2; ++e) {
            scores[set][n][e] = exp2_approx(fmaf(scores[set][n][e], scale, -top * scale));
            total += scores[set][n][e];
          }
        }
        sum[set][half] = total;
      }
    }
  }

  // Divides by the sums; writes the log-sum-exp of rows i0 … of T, 0 from row `length` on.
  template <int D>
  __device__ __forceinline__ void finish(float (&out)[Sets][D][4], float scale, float kept,
                                         float* lse, int i0, int length, int T) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    GPU_UNROLL
    for (int set = 0; set < Sets; ++set) {
      GPU_UNROLL
      for (int half = 0; half < 2; ++half) {
        const int i = i0 + set * kMmaRows + lane / 4 + half * 8;
        const float total = quad_sum(sum[set][half]);
        GPU_UNROLL
        for (int d = 0; d < D; ++d) {
          out[set][d][2 * half] *= kept / total;
          out[set][d][2 * half + 1] *= kept / total;
        }
        if (lane % 4 == 0 && i < T) {
          lse[i] = i < length ? largest[set][half] * scale * kLn2 + logf(total) : 0.0f;
        }
      }
    }
  }
};

// What the backward must know of a query: the lse in powers of 2, infinite for a query past its
// length, and Σ_j P_ij ∂loss/∂P_ij = out_i · dout_i.
struct QueryStats {
  float lse, delta;
};

// From scores to the weights that are kept, and from dweights to the gradients of scores, less
// their factor 1/√HS. stats(set, half, column): of the query; sees and keeps(row, column): whether
// the query sees the key, and keeps it.
template <int Sets, int N, class Stats, class Sees, class Keeps>
__device__ __forceinline__ void differentiate_softmax(float (&scores)[Sets][N][4],
                                                      float (&dweights)[Sets][N][4], float scale,
                                                      float kept, const Stats& stats,
                                                      const Sees& sees, const Keeps& keeps) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  GPU_UNROLL
  for (int n = 0; n < N; ++n) {
    GPU_UNROLL
    for (int set = 0; set < Sets; ++set) {
      GPU_UNROLL
      for (int e = 0; e < 4; ++e) {
        const int row = set * kMmaRows + lane / 4 + e / 2 * 8;
        const int column = 8 * n + lane % 4 * 2 + e % 2;
        const QueryStats of = stats(set, e / 2, column);
        float weight = exp2_approx(fmaf(scores[set][n][e], scale * kLog2e, -of.lse));
        if (!sees(row, column)) weight = 0;
        const bool stays = keeps(row, column);
        scores[set][n][e] = stays ? weight : 0.0f;
        dweights[set][n][e] = weight * ((stays ? dweights[set][n][e] * kept : 0.0f) - of.delta);
      }
    }
  }
}

}  // namespace masque
