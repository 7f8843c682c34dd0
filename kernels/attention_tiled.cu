#include <algorithm>

#include "kernels/attention_head.cuh"
#include "kernels/attention_tiled.cuh"
#include "kernels/attention_tiled.h"

namespace masque {
namespace {

constexpr int kTiledWarps = 4;
constexpr int kTiledThreads = 32 * kTiledWarps;

// Starts to copy rows first … first + Rows of a head; zeros from row `end` on.
template <class Tile, int Rows>
__device__ __forceinline__ void copy_tile(bf16* tile, const bf16* rows, std::int64_t stride,
                                          int first, int end) {
  constexpr int kPieces = Tile::kWidth / kPack<bf16>;
  static_assert(Rows * kPieces % kTiledThreads == 0);
  GPU_UNROLL
  for (int n = 0; n < Rows * kPieces; n += kTiledThreads) {
    const int at = n + static_cast<int>(threadIdx.x);
    const int row = at / kPieces, piece = at % kPieces * kPack<bf16>;
    copy_async16(tile + Tile::at(row, piece), rows + (first + row) * stride + piece,
                 first + row < end);
  }
}

// Sizes are such that no instantiation spills registers.
template <int HS, bool Dropout>
struct ForwardTile {
  using Tile = PaddedTile<HS>;
  static constexpr int kSets = 2;
  static constexpr int kWarpQueries = kSets * kMmaRows;
  static constexpr int kQueries = kTiledWarps * kWarpQueries;
  static constexpr int kKeys = HS <= 64 ? 64 : HS == 128 && Dropout ? 16 : 32;
  static constexpr int kChunks = kKeys / kKeepKeys;
  static constexpr std::size_t room() {
    return tile_room<Tile>(kQueries) + 4 * tile_room<Tile>(kKeys) +
           (Dropout ? shared_room(sizeof(std::uint16_t) * kQueries * kChunks) : 0);
  }
};

template <int HS, bool Dropout>
__global__ void __launch_bounds__(kTiledThreads)
    attention_tiled_forward_kernel(AttentionForward<bf16> args, int tiles) {
  using Sizes = ForwardTile<HS, Dropout>;
  using Tile = typename Sizes::Tile;
  constexpr int kSets = Sizes::kSets, kKeys = Sizes::kKeys, kChunks = Sizes::kChunks;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int task = static_cast<int>(blockIdx.x) / tiles;
  const int tile = tiles - 1 - static_cast<int>(blockIdx.x) % tiles;  // the longest first
  const int block_i0 = tile * Sizes::kQueries, i0 = block_i0 + warp * Sizes::kWarpQueries;
  const AttentionHead at = head_of(args, task);
  const float scale = kLog2e / sqrtf(static_cast<float>(HS));

  SharedPieces shared;
  bf16* queries = shared.take<bf16>(Sizes::kQueries * Tile::kStride);
  constexpr int kTileElements = kKeys * Tile::kStride;
  bf16* keys = shared.take<bf16>(2 * kTileElements);  // two tiles: one is read, one is on its way
  bf16* values = shared.take<bf16>(2 * kTileElements);
  std::uint16_t* keeps = nullptr;
  if constexpr (Dropout) {
    keeps = shared.take<std::uint16_t>(Sizes::kQueries * kChunks) +
            warp * Sizes::kWarpQueries * kChunks;
  }
  bf16* own = queries + warp * Sizes::kWarpQueries * Tile::kStride;

  const int end = block_i0 >= at.length ? 0
                  : args.causal         ? std::min(block_i0 + Sizes::kQueries, at.length)
                                        : at.length;
  const auto copy_keys = [&](int j0) {
    const int stage = j0 / kKeys % 2 * kTileElements;
    copy_tile<Tile, kKeys>(keys + stage, args.qkv + at.k, at.qkv_stride, j0, end);
    copy_tile<Tile, kKeys>(values + stage, args.qkv + at.v, at.qkv_stride, j0, end);
    commit_copies();
  };
  copy_tile<Tile, Sizes::kQueries>(queries, args.qkv + at.q, at.qkv_stride, block_i0, at.length);
  copy_keys(0);

  float out[kSets][HS / 8][4] = {};
  OnlineSoftmax<kSets> softmax;
  for (int j0 = 0; j0 < end; j0 += kKeys) {
    wait_copies<0>();
    __syncthreads();  // this tile is here, and nobody reads the one before it any more
    if (j0 + kKeys < end) copy_keys(j0 + kKeys);
    if (args.causal && j0 >= i0 + Sizes::kWarpQueries) continue;  // past what the warp may see
    if constexpr (Dropout) {
      draw_keeps(keeps, dropout_of(args, task), i0, j0, Sizes::kWarpQueries, kChunks);
    }
    float scores[kSets][kKeys / 8][4];
    multiply<Tile>(scores, own, keys + j0 / kKeys % 2 * kTileElements);
    hide_keys(scores, i0, j0, end, args.causal);
    softmax.add(scores, out, scale);
    if constexpr (Dropout) drop(scores, keeps);
    add_product<Tile>(out, scores, values + j0 / kKeys % 2 * kTileElements);
  }
  wait_copies<0>();  // where there was no key to walk over

  const int T = static_cast<int>(args.T);
  const float kept = Dropout ? static_cast<float>(1 / (1 - args.p)) : 1.0f;
  softmax.finish(out, scale, kept, args.lse + at.lse, i0, at.length, T);
  write_rows<Tile>(args.out + at.out, at.out_stride, own, out, 1.0f, i0, at.length, T);
}

template <int HS>
struct BackwardTile {
  using Tile = PaddedTile<HS>;
  static constexpr int kSets = HS <= 64 ? 2 : 1;
  static constexpr int kWarpRows = kSets * kMmaRows;
  static constexpr int kRows = kTiledWarps * kWarpRows;
  static constexpr int kColumns = 32;
  static constexpr int kKeeps = kRows * kColumns / kKeepKeys;
  static constexpr std::size_t room(bool dropout) {
    return 2 * tile_room<Tile>(kRows) + 4 * tile_room<Tile>(kColumns) +
           2 * shared_room(sizeof(QueryStats) * kColumns) +
           (dropout ? shared_room(sizeof(std::uint16_t) * kKeeps) : 0);
  }
};

// Either a block's rows are queries and its columns keys, and it writes dq; or its rows are keys
// and its columns queries, and it writes dk and dv. The first finds stats (B·NH, tiles·kRows).
template <int HS, bool KeyRows, bool Dropout>
__global__ void __launch_bounds__(kTiledThreads)
    attention_tiled_backward_kernel(AttentionBackward<bf16> args, QueryStats* stats, int tiles) {
  using Sizes = BackwardTile<HS>;
  using Tile = typename Sizes::Tile;
  constexpr int kSets = Sizes::kSets, kColumns = Sizes::kColumns;
  constexpr int kStep = HS == 64 && KeyRows ? 16 : kColumns;  // columns at once, as registers allow
  constexpr int kWarpQueries = KeyRows ? kStep : Sizes::kWarpRows;
  constexpr int kChunks = (KeyRows ? Sizes::kWarpRows : kStep) / kKeepKeys;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int task = static_cast<int>(blockIdx.x) / tiles;
  const int tile = static_cast<int>(blockIdx.x) % tiles;
  const int block_row0 = (KeyRows ? tile : tiles - 1 - tile) * Sizes::kRows;  // the longest first
  const int row0 = block_row0 + warp * Sizes::kWarpRows;
  const AttentionHead at = head_of(args, task);
  const float scale = 1 / sqrtf(static_cast<float>(HS));
  const float kept = Dropout ? static_cast<float>(1 / (1 - args.p)) : 1.0f;
  stats += std::int64_t{task} * tiles * Sizes::kRows;

  SharedPieces shared;
  bf16* score_rows = shared.take<bf16>(Sizes::kRows * Tile::kStride);  // q or k
  bf16* value_rows = shared.take<bf16>(Sizes::kRows * Tile::kStride);  // dout or v
  constexpr int kTileElements = kColumns * Tile::kStride;
  bf16* score_columns = shared.take<bf16>(2 * kTileElements);  // one is read, one is on its way
  bf16* value_columns = shared.take<bf16>(2 * kTileElements);
  QueryStats* column_stats = shared.take<QueryStats>(2 * kColumns);
  std::uint16_t* keeps = nullptr;
  if constexpr (Dropout) {
    keeps = shared.take<std::uint16_t>(Sizes::kKeeps) + warp * kWarpQueries * kChunks;
  }

  const bf16 *q = args.qkv + at.q, *k = args.qkv + at.k, *v = args.qkv + at.v;
  const bf16* dout = args.dout + at.out;
  const int begin = KeyRows && args.causal ? block_row0 : 0;
  const int end = block_row0 >= at.length   ? 0
                  : !KeyRows && args.causal ? std::min(block_row0 + Sizes::kRows, at.length)
                                            : at.length;
  const auto copy_columns = [&](int column0) {
    const int stage = column0 / kColumns % 2;
    copy_tile<Tile, kColumns>(score_columns + stage * kTileElements, KeyRows ? q : k, at.qkv_stride,
                              column0, end);
    copy_tile<Tile, kColumns>(value_columns + stage * kTileElements, KeyRows ? dout : v,
                              KeyRows ? at.out_stride : at.qkv_stride, column0, end);
    constexpr int kPieceStats = 16 / sizeof(QueryStats);
    if (KeyRows && threadIdx.x < kColumns / kPieceStats) {
      const unsigned first = kPieceStats * threadIdx.x;
      copy_async16(column_stats + stage * kColumns + first, stats + column0 + first);
    }
    commit_copies();
  };
  copy_tile<Tile, Sizes::kRows>(score_rows, KeyRows ? k : q, at.qkv_stride, block_row0, at.length);
  copy_tile<Tile, Sizes::kRows>(value_rows, KeyRows ? v : dout,
                                KeyRows ? at.qkv_stride : at.out_stride, block_row0, at.length);
  copy_columns(begin);
  score_rows += warp * Sizes::kWarpRows * Tile::kStride;
  value_rows += warp * Sizes::kWarpRows * Tile::kStride;

  QueryStats row_stats[kSets][2];
  if constexpr (!KeyRows) {
    GPU_UNROLL
    for (int set = 0; set < kSets; ++set) {
      GPU_UNROLL
      for (int half = 0; half < 2; ++half) {
        const int i = row0 + set * kMmaRows + lane / 4 + half * 8;
        QueryStats& of = row_stats[set][half];
        of = {i < at.length ? args.lse[at.lse + i] * kLog2e : INFINITY, 0.0f};
        for (int d = lane % 4 * 8; i < at.length && d < HS; d += 32) {
          const std::int64_t n = at.out + i * at.out_stride + d;
          const Pack<bf16> out_pack = load_pack(args.out + n), dout_pack = load_pack(args.dout + n);
          for (int e = 0; e < 8; ++e) of.delta += out_pack[e] * dout_pack[e];
        }
        of.delta = quad_sum(of.delta);
        if (lane % 4 == 0) stats[i] = of;
      }
    }
  }

  float dscore_rows[kSets][HS / 8][4] = {};                // dq or dk
  float dvalue_rows[KeyRows ? kSets : 1][HS / 8][4] = {};  // dv
  GPU_ROLLED
  for (int column0 = begin; column0 < end; column0 += kStep) {
    if (column0 % kColumns == 0) {
      wait_copies<0>();
      __syncthreads();  // this tile is here, and nobody reads the one before it any more
      if (column0 + kColumns < end) copy_columns(column0 + kColumns);
    }
    const int i0 = KeyRows ? column0 : row0, j0 = KeyRows ? row0 : column0;
    const int column = column0 % (2 * kColumns);           // in the two tiles
    if (args.causal && j0 >= i0 + kWarpQueries) continue;  // no key that a query sees
    if constexpr (Dropout) draw_keeps(keeps, dropout_of(args, task), i0, j0, kWarpQueries, kChunks);
    float scores[kSets][kStep / 8][4], dweights[kSets][kStep / 8][4];
    multiply<Tile>(scores, score_rows, score_columns + column * Tile::kStride);
    multiply<Tile>(dweights, value_rows, value_columns + column * Tile::kStride);
    const bool whole = j0 + (KeyRows ? 0 : kStep) <= at.length &&
                       (!args.causal || j0 + kChunks * kKeepKeys - 1 <= i0);
    differentiate_softmax(
        scores, dweights, scale, kept,
        [&](int set, int half, int n) {
          return KeyRows ? column_stats[column + n] : row_stats[set][half];
        },
        [&](int row, int n) {
          const int query = KeyRows ? n : row, key = KeyRows ? row : n;
          return whole || (j0 + key < at.length && (!args.causal || j0 + key <= i0 + query));
        },
        [&](int row, int n) {
          return !Dropout || is_kept(keeps, KeyRows ? n : row, KeyRows ? row : n, kChunks);
        });
    if constexpr (KeyRows) {
      add_product<Tile>(dvalue_rows, scores, value_columns + column * Tile::kStride);
    }
    add_product<Tile>(dscore_rows, dweights, score_columns + column * Tile::kStride);
  }
  wait_copies<0>();  // where there was nothing to walk over

  const int T = static_cast<int>(args.T);
  write_rows<Tile>(args.dqkv + (KeyRows ? at.k : at.q), at.qkv_stride, score_rows, dscore_rows,
                   scale, row0, at.length, T);
  if constexpr (KeyRows) {
    write_rows<Tile>(args.dqkv + at.v, at.qkv_stride, value_rows, dvalue_rows, kept, row0,
                     at.length, T);
  }
}

bool is_tiled_size(std::int64_t HS) {
  return HS == 32 || HS == 64 || HS == 96 || HS == 128;
}

// Calls function(HS, whether there is dropout), both constants.
template <class Args, class Function>
void with_constants(const Args& args, const Function& function) {
  const auto with_size = [&](auto size) {
    args.p > 0 ? function(size, std::true_type{}) : function(size, std::false_type{});
  };
  if (args.HS == 32) with_size(std::integral_constant<int, 32>{});
  if (args.HS == 64) with_size(std::integral_constant<int, 64>{});
  if (args.HS == 96) with_size(std::integral_constant<int, 96>{});
  if (args.HS == 128) with_size(std::integral_constant<int, 128>{});
}

}  // namespace

bool attention_tiled_fits(const AttentionForward<bf16>& args) {
  return is_tiled_size(args.HS) && packs_fit<bf16>(args.HS, args.out, args.qkv);
}

bool attention_tiled_fits(const AttentionBackward<bf16>& args) {
  return is_tiled_size(args.HS) &&
         packs_fit<bf16>(args.HS, args.dqkv, args.dout, args.out, args.qkv);
}

void attention_tiled_forward(On<Cuda, bf16> on, const AttentionForward<bf16>& args) {
  with_constants(args, [&](auto size, auto dropout) {
    constexpr int HS = decltype(size)::value;
    constexpr bool kDropout = decltype(dropout)::value;
    using Sizes = ForwardTile<HS, kDropout>;
    const unsigned tiles = blocks_for(args.T, Sizes::kQueries);
    launch({"attention_tiled_forward", static_cast<unsigned>(args.B * args.NH) * tiles,
            kTiledThreads, Sizes::room()},
           on.stream, attention_tiled_forward_kernel<HS, kDropout>, args, static_cast<int>(tiles));
  });
}

void attention_tiled_backward(On<Cuda, bf16> on, const AttentionBackward<bf16>& args) {
  with_constants(args, [&](auto size, auto dropout) {
    constexpr int HS = decltype(size)::value;
    constexpr bool kDropout = decltype(dropout)::value;
    using Sizes = BackwardTile<HS>;
    const unsigned tiles = blocks_for(args.T, Sizes::kRows);
    const auto blocks = static_cast<unsigned>(args.B * args.NH) * tiles;
    auto* stats = static_cast<QueryStats*>(
        gpu_scratch(on.stream, std::size_t{blocks} * Sizes::kRows * sizeof(QueryStats)));
    launch({"attention_tiled_dq", blocks, kTiledThreads, Sizes::room(kDropout)}, on.stream,
           attention_tiled_backward_kernel<HS, false, kDropout>, args, stats,
           static_cast<int>(tiles));
    launch({"attention_tiled_dkv", blocks, kTiledThreads, Sizes::room(kDropout)}, on.stream,
           attention_tiled_backward_kernel<HS, true, kDropout>, args, stats,
           static_cast<int>(tiles));
  });
}

}  // namespace masque
