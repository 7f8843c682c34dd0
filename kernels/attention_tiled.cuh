// What the kernels of attention on tensor cores share, on tiles of scores in registers
// (kernels/mma_tile.cuh): hiding keys, dropout, the softmax and its derivative.
#pragma once

#include <algorithm>

#include "kernels/attention_head.cuh"
#include "kernels/mma_tile.cuh"

namespace masque {

constexpr float kLog2e = 1.4426950408889634f, kLn2 = 0.6931471805599453f;

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
