#include <algorithm>
#include <type_traits>

#include "kernels/attention_head.cuh"
#include "kernels/attention_short.h"
#include "kernels/attention_tiled.cuh"

namespace masque {
namespace {

using Tile = SwizzledTile;

constexpr int kSets = 2;
constexpr int kWarpRows = kSets * kMmaRows;  // so a block has a thread a row
constexpr int kMostRows = 256;
constexpr int kForwardKeys = 64;  // a warp takes so many at a time
// The backward takes so many queries at a time, but shares out dq for 64 of them.
constexpr int backward_queries(bool dropout) {
  return dropout ? 16 : 32;
}
constexpr int kSharedQueries = Tile::kWidth;

int rows_of(std::int64_t T) {
  return static_cast<int>((T + kWarpRows - 1) / kWarpRows) * kWarpRows;
}

// Bits of the weights that a warp draws at a time.
constexpr int kForwardKeeps = kWarpRows * kForwardKeys / kKeepKeys;
constexpr int kBackwardKeeps = backward_queries(true) * kWarpRows / kKeepKeys;

std::size_t keeps_room(int rows, int keeps_a_warp, bool dropout) {
  const auto keeps = static_cast<unsigned>(rows / kWarpRows * keeps_a_warp);
  return dropout ? shared_room(sizeof(std::uint16_t) * keeps) : 0;
}

// Keys that the forward walks over, whole tiles of them.
__host__ __device__ constexpr int forward_keys(int rows) {
  return (rows + kForwardKeys - 1) / kForwardKeys * kForwardKeys;
}

std::size_t forward_room(int rows, bool dropout) {
  return tile_room<Tile>(rows) + 2 * tile_room<Tile>(forward_keys(rows)) +
         keeps_room(rows, kForwardKeeps, dropout);
}

std::size_t backward_room(int rows, bool dropout) {
  return 5 * tile_room<Tile>(rows) + shared_room(sizeof(QueryStats) * static_cast<unsigned>(rows)) +
         keeps_room(rows, kBackwardKeeps, dropout);
}

// Starts to copy rows first … end − 1 of a head into a tile; zeros from row `length` on.
__device__ __forceinline__ void copy_rows(bf16* tile, const bf16* rows, std::int64_t stride,
                                          int first, int end, int length) {
  constexpr int kPieces = Tile::kWidth / kPack<bf16>;
  for (int n = first * kPieces + static_cast<int>(threadIdx.x); n < end * kPieces;
       n += static_cast<int>(blockDim.x)) {
    const int row = n / kPieces, piece = n % kPieces * kPack<bf16>;
    copy_async16(tile + Tile::at(row, piece), rows + row * stride + piece, row < length);
  }
}

template <bool Dropout>
__global__ void __launch_bounds__(kMostRows)
    attention_short_forward_kernel(AttentionForward<bf16> args) {
  const int rows = static_cast<int>(blockDim.x), warp = static_cast<int>(threadIdx.x) / 32;
  const int i0 = warp * kWarpRows;
  const AttentionHead at = head_of(args, blockIdx.x);
  const float scale = kLog2e / sqrtf(static_cast<float>(Tile::kWidth));

  SharedPieces shared;
  bf16* queries = shared.take<bf16>(blockDim.x * Tile::kStride);
  const int key_rows = forward_keys(rows);
  bf16* keys = shared.take<bf16>(static_cast<unsigned>(key_rows) * Tile::kStride);
  bf16* values = shared.take<bf16>(static_cast<unsigned>(key_rows) * Tile::kStride);
  std::uint16_t* keeps = nullptr;
  if constexpr (Dropout) {
    keeps =
        shared.take<std::uint16_t>(blockDim.x / kWarpRows * kForwardKeeps) + warp * kForwardKeeps;
  }
  copy_rows(queries, args.qkv + at.q, at.qkv_stride, 0, rows, at.length);
  copy_rows(keys, args.qkv + at.k, at.qkv_stride, 0, kForwardKeys, at.length);
  copy_rows(values, args.qkv + at.v, at.qkv_stride, 0, kForwardKeys, at.length);
  commit_copies();
  copy_rows(keys, args.qkv + at.k, at.qkv_stride, kForwardKeys, key_rows, at.length);
  copy_rows(values, args.qkv + at.v, at.qkv_stride, kForwardKeys, key_rows, at.length);
  commit_copies();
  queries += i0 * Tile::kStride;

  float out[kSets][Tile::kWidth / 8][4] = {};
  OnlineSoftmax<kSets> softmax;
  const int end = i0 >= at.length ? 0
                  : args.causal   ? std::min(i0 + kWarpRows, at.length)
                                  : at.length;
  GPU_ROLLED
  for (int j0 = 0; j0 < at.length; j0 += kForwardKeys) {
    if (j0 == 0) {
      wait_copies<1>();
      __syncthreads();
    } else if (j0 == kForwardKeys) {
      wait_copies<0>();
      __syncthreads();
    }
    if (j0 >= end) continue;
    if constexpr (Dropout) {
      draw_keeps(keeps, dropout_of(args, blockIdx.x), i0, j0, kWarpRows, kForwardKeys / kKeepKeys);
    }
    float scores[kSets][kForwardKeys / 8][4];
    multiply<Tile>(scores, queries, keys + j0 * Tile::kStride);
    hide_keys(scores, i0, j0, end, args.causal);
    softmax.add(scores, out, scale);
    if constexpr (Dropout) drop(scores, keeps);
    add_product<Tile>(out, scores, values + j0 * Tile::kStride);
  }
  wait_copies<0>();  // of keys that there was no need to wait for

  const int T = static_cast<int>(args.T);
  const float kept = Dropout ? static_cast<float>(1 / (1 - args.p)) : 1.0f;
  softmax.finish(out, scale, kept, args.lse + at.lse, i0, at.length, T);
  write_rows<Tile>(args.out + at.out, at.out_stride, queries, out, 1.0f, i0, at.length, T);
}

// sums = leftᵀ · right over the first `rows` rows (rounded up to 16) of two tiles: 16·Sets columns
// of the left, 8·N of the right.
template <int Sets, int N>
__device__ __forceinline__ void multiply_columns(float (&sums)[Sets][N][4], const bf16* left,
                                                 int left_column, const bf16* right,
                                                 int right_column, int rows) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  GPU_UNROLL
  for (int set = 0; set < Sets; ++set) {
    GPU_UNROLL
    for (int n = 0; n < N; ++n) {
      for (float& sum : sums[set][n]) sum = 0;
    }
  }
  for (int row = 0; row < rows; row += kMmaRows) {
    std::uint32_t a[Sets][4];
    GPU_UNROLL
    for (int set = 0; set < Sets; ++set) {
      ldmatrix_x4_trans(a[set], left + row * Tile::kStride +
                                    lane_address<Tile>(lane, left_column + set * kMmaRows));
      std::swap(a[set][1], a[set][2]);
    }
    GPU_UNROLL
    for (int n = 0; n < N; n += 2) {
      std::uint32_t both[4];
      ldmatrix_x4_trans(
          both, right + row * Tile::kStride + lane_address<Tile>(lane, right_column + n * 8));
      const std::uint32_t b[2][2] = {{both[0], both[1]}, {both[2], both[3]}};
      GPU_UNROLL
      for (int set = 0; set < Sets; ++set) {
        mma_bf16(sums[set][n], a[set], b[0]);
        mma_bf16(sums[set][n + 1], a[set], b[1]);
      }
    }
  }
}

// A warp owns 32 keys, whose dk and dv it sums in registers while the block walks over the queries,
// 64 at a time. For these all warps leave the gradients of scores in shared memory, then share out
// dq.
template <bool Dropout>
__global__ void __launch_bounds__(kMostRows)
    attention_short_backward_kernel(AttentionBackward<bf16> args) {
  constexpr int kQueries = backward_queries(Dropout);
  const int rows = static_cast<int>(blockDim.x), warps = rows / 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int j0 = warp * kWarpRows;
  const AttentionHead at = head_of(args, blockIdx.x);
  const float scale = 1 / sqrtf(static_cast<float>(Tile::kWidth));
  const float kept = Dropout ? static_cast<float>(1 / (1 - args.p)) : 1.0f;
  const int T = static_cast<int>(args.T);

  SharedPieces shared;
  bf16* queries = shared.take<bf16>(blockDim.x * Tile::kStride);
  bf16* keys = shared.take<bf16>(blockDim.x * Tile::kStride);
  bf16* values = shared.take<bf16>(blockDim.x * Tile::kStride);
  bf16* douts = shared.take<bf16>(blockDim.x * Tile::kStride);
  bf16* dscores = shared.take<bf16>(blockDim.x * Tile::kStride);  // keys by 64 queries
  QueryStats* stats = shared.take<QueryStats>(blockDim.x);
  std::uint16_t* keeps = nullptr;
  if constexpr (Dropout) {
    keeps =
        shared.take<std::uint16_t>(blockDim.x / kWarpRows * kBackwardKeeps) + warp * kBackwardKeeps;
  }

  bf16* outs = dscores;  // until the first gradients of scores
  copy_rows(douts, args.dout + at.out, at.out_stride, 0, rows, at.length);
  copy_rows(outs, args.out + at.out, at.out_stride, 0, rows, at.length);
  copy_rows(queries, args.qkv + at.q, at.qkv_stride, 0, rows, at.length);
  copy_rows(keys, args.qkv + at.k, at.qkv_stride, 0, rows, at.length);
  copy_rows(values, args.qkv + at.v, at.qkv_stride, 0, rows, at.length);
  commit_copies();
  wait_copies<0>();
  __syncthreads();
  {
    const int i = static_cast<int>(threadIdx.x);
    QueryStats of{i < at.length ? args.lse[at.lse + i] * kLog2e : INFINITY, 0.0f};
    GPU_UNROLL
    for (int d = 0; d < Tile::kWidth; d += kPack<bf16>) {
      const Pack<bf16> out = load_pack(outs + Tile::at(i, d));
      const Pack<bf16> dout = load_pack(douts + Tile::at(i, d));
      for (int e = 0; e < kPack<bf16>; ++e) of.delta += out[e] * dout[e];
    }
    stats[i] = of;
  }
  __syncthreads();

  float dk[kSets][Tile::kWidth / 8][4] = {}, dv[kSets][Tile::kWidth / 8][4] = {};
  GPU_ROLLED
  for (int tile0 = 0; tile0 < T; tile0 += kSharedQueries) {
    const int tile_end = std::min(tile0 + kSharedQueries, at.length);
    GPU_ROLLED
    for (int i0 = tile0; i0 < tile_end; i0 += kQueries) {
      if (j0 >= at.length || (args.causal && j0 >= i0 + kQueries))
        continue;  // no key that a query sees
      if constexpr (Dropout) {
        draw_keeps(keeps, dropout_of(args, blockIdx.x), i0, j0, kQueries, kWarpRows / kKeepKeys);
      }
      const bf16 *tile_queries = queries + i0 * Tile::kStride,
                 *tile_douts = douts + i0 * Tile::kStride;
      float weights[kSets][kQueries / 8][4], dweights[kSets][kQueries / 8][4];
      multiply<Tile>(weights, keys + j0 * Tile::kStride, tile_queries);
      multiply<Tile>(dweights, values + j0 * Tile::kStride, tile_douts);
      const bool whole = j0 + kWarpRows <= at.length && !(args.causal && j0 + kWarpRows - 1 > i0);
      differentiate_softmax(
          weights, dweights, scale, kept, [&](int, int, int column) { return stats[i0 + column]; },
          [&](int row, int column) {
            return whole || (j0 + row < at.length && (!args.causal || j0 + row <= i0 + column));
          },
          [&](int row, int column) {
            return !Dropout || is_kept(keeps, column, row, kWarpRows / kKeepKeys);
          });
      add_product<Tile>(dv, weights, tile_douts);
      add_product<Tile>(dk, dweights, tile_queries);
      store_tile<Tile>(dscores + j0 * Tile::kStride, dweights, 1.0f, i0 - tile0);
    }
    __syncthreads();  // all gradients of these queries' scores are there
    constexpr int kUnitColumns = 16;
    constexpr int kUnits = Tile::kWidth / kUnitColumns;  // of 32 queries and 16 columns of dq
    GPU_ROLLED
    for (int unit = warp; unit < 2 * kUnits; unit += warps) {
      const int i0 = tile0 + unit / kUnits * kWarpRows, column = unit % kUnits * kUnitColumns;
      if (i0 >= T) break;
      const int end = i0 >= at.length ? 0
                      : args.causal   ? std::min(i0 + kWarpRows, at.length)
                                      : at.length;
      float dq[kSets][kUnitColumns / 8][4];
      multiply_columns(dq, dscores, i0 - tile0, keys, column, end);
      // Over queries that nobody reads any more.
      write_rows<Tile>(args.dqkv + at.q, at.qkv_stride, queries + i0 * Tile::kStride, dq, scale, i0,
                       at.length, T, column);
    }
    __syncthreads();  // nobody reads these gradients of scores any more
  }
  write_rows<Tile>(args.dqkv + at.v, at.qkv_stride, values + j0 * Tile::kStride, dv, kept, j0,
                   at.length, T);
  write_rows<Tile>(args.dqkv + at.k, at.qkv_stride, values + j0 * Tile::kStride, dk, scale, j0,
                   at.length, T);
}

template <class Args>
bool fits(const Args& args, std::size_t room) {
  return args.HS == Tile::kWidth && args.T <= kMostRows && room <= gpu_limits().shared_bytes;
}

// Calls function(whether there is dropout), a constant.
template <class Args, class Function>
void with_dropout(const Args& args, const Function& function) {
  args.p > 0 ? function(std::true_type{}) : function(std::false_type{});
}

}  // namespace

bool attention_short_fits(const AttentionForward<bf16>& args) {
  return packs_fit<bf16>(args.HS, args.out, args.qkv) &&
         fits(args, forward_room(rows_of(args.T), args.p > 0));
}

bool attention_short_fits(const AttentionBackward<bf16>& args) {
  return packs_fit<bf16>(args.HS, args.dqkv, args.dout, args.out, args.qkv) &&
         fits(args, backward_room(rows_of(args.T), args.p > 0));
}

void attention_short_forward(On<Cuda, bf16> on, const AttentionForward<bf16>& args) {
  const int rows = rows_of(args.T);
  with_dropout(args, [&](auto dropout) {
    constexpr bool kDropout = decltype(dropout)::value;
    launch({"attention_short_forward", static_cast<unsigned>(args.B * args.NH),
            static_cast<unsigned>(rows), forward_room(rows, kDropout)},
           on.stream, attention_short_forward_kernel<kDropout>, args);
  });
}

void attention_short_backward(On<Cuda, bf16> on, const AttentionBackward<bf16>& args) {
  const int rows = rows_of(args.T);
  with_dropout(args, [&](auto dropout) {
    constexpr bool kDropout = decltype(dropout)::value;
    launch({"attention_short_backward", static_cast<unsigned>(args.B * args.NH),
            static_cast<unsigned>(rows), backward_room(rows, kDropout)},
           on.stream, attention_short_backward_kernel<kDropout>, args);
  });
}

}  // namespace masque
