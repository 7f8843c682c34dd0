#include <algorithm>
#include <string>

#include "kernels/attention_fma.h"
#include "kernels/attention_head.cuh"
#include "kernels/pack.cuh"

namespace masque {
namespace {

constexpr int kSide = 16;  // a block is kSide·kSide threads
constexpr int kThreads = kSide * kSide;
static_assert(kSide == kKeepKeys);

// A block has rows of its own and walks over columns, a tile at a time, all in shared memory, with
// heads padded to Width by zeros. Thread (x, y) takes rows y + 16r and columns x + 16c. The sizes
// are such that a backward's four tiles fit into 99 KB.
template <int Width>
struct Tile {
  static constexpr int kRowSteps = Width <= 64 ? 4 : Width <= 128 ? 2 : 1;
  static constexpr int kColumnSteps = Width <= 128 ? 2 : 1;
  static constexpr int kWidthSteps = Width / kSide;
  static constexpr int kRows = kSide * kRowSteps;
  static constexpr int kColumns = kSide * kColumnSteps;
  static constexpr int kStride = Width + 4;           // so that neighbours are in other banks
  static constexpr int kWeightStride = kColumns + 4;  // likewise, in a tile of weights
  static constexpr int kKeeps = kRows * kColumns / kKeepKeys;
};

__device__ float half_warp_sum(float value) {
  for (int step = kSide / 2; step > 0; step /= 2) value += __shfl_xor_sync(kAllLanes, value, step);
  return value;
}

__device__ float half_warp_max(float value) {
  for (int step = kSide / 2; step > 0; step /= 2) {
    value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, step));
  }
  return value;
}

// Rows first … first + count of a head into a tile: zeros from row `end` and from column HS on.
template <int Width, class Real>
__device__ void load_rows(float* tile, const Real* rows, std::int64_t stride, int first, int count,
                          int end, int HS) {
  for (int n = static_cast<int>(threadIdx.x); n < count * Width; n += kThreads) {
    const int row = n / Width, d = n % Width;
    const bool there = first + row < end && d < HS;
    tile[row * Tile<Width>::kStride + d] =
        there ? static_cast<float>(rows[(first + row) * stride + d]) : 0.0f;
  }
}

// Which weights of `queries` rows from i0 and kKeepKeys·chunks keys from j0 are kept.
__device__ void draw_keeps(std::uint16_t* keeps, const AttentionDropout& dropout, int i0, int j0,
                           int queries, int chunks) {
  for (int n = static_cast<int>(threadIdx.x); n < queries * chunks; n += kThreads) {
    keeps[n] = dropout.keep(i0 + n / chunks, j0 + n % chunks * kKeepKeys);
  }
}

// sums[r][c] = row y + 16r of `rows` · row x + 16c of `columns`.
template <int Width, int R, int C>
__device__ void dot_rows(float (&sums)[R][C], const float* rows, const float* columns, int HS) {
  constexpr int kStride = Tile<Width>::kStride;
  rows += threadIdx.x / kSide * kStride;
  columns += threadIdx.x % kSide * kStride;
  GPU_UNROLL
  for (int r = 0; r < R; ++r) {
    for (int c = 0; c < C; ++c) sums[r][c] = 0;
  }
  GPU_ROLLED
  for (int d = 0; d < HS; d += kPack<float>) {
    Pack<float> row[R], column[C];
    GPU_UNROLL
    for (int r = 0; r < R; ++r) row[r] = load_pack(rows + r * kSide * kStride + d);
    GPU_UNROLL
    for (int c = 0; c < C; ++c) column[c] = load_pack(columns + c * kSide * kStride + d);
    GPU_UNROLL
    for (int n = 0; n < kPack<float>; ++n) {
      GPU_UNROLL
      for (int r = 0; r < R; ++r) {
        GPU_UNROLL
        for (int c = 0; c < C; ++c) sums[r][c] = fmaf(row[r][n], column[c][n], sums[r][c]);
      }
    }
  }
}

// sums[r][w] += Σ_column weights[y + 16r][column]·columns[column][x + 16w].
template <int Width, int R>
__device__ void add_weighted(float (&sums)[R][Width / kSide], const float* weights,
                             const float* columns) {
  using Sizes = Tile<Width>;
  weights += threadIdx.x / kSide * Sizes::kWeightStride;
  columns += threadIdx.x % kSide;
  for (int column = 0; column < Sizes::kColumns; column += kPack<float>) {
    Pack<float> weight[R];
    GPU_UNROLL
    for (int r = 0; r < R; ++r) {
      weight[r] = load_pack(weights + r * kSide * Sizes::kWeightStride + column);
    }
    GPU_UNROLL
    for (int n = 0; n < kPack<float>; ++n) {
      GPU_UNROLL
      for (int w = 0; w < Sizes::kWidthSteps; ++w) {
        const float value = columns[(column + n) * Sizes::kStride + w * kSide];
        GPU_UNROLL
        for (int r = 0; r < R; ++r) sums[r][w] = fmaf(weight[r][n], value, sums[r][w]);
      }
    }
  }
}

// One row of a gradient or an output: thread x writes columns x + 16w.
template <int Steps, class Real>
__device__ void write_row(Real* row, const float (&sums)[Steps], float factor, bool attends,
                          int HS) {
  GPU_UNROLL
  for (int w = 0; w < Steps; ++w) {
    const int d = static_cast<int>(threadIdx.x) % kSide + w * kSide;
    if (d < HS) row[d] = static_cast<Real>(attends ? sums[w] * factor : 0.0f);
  }
}

template <int Width, class Real>
__global__ void __launch_bounds__(kThreads, 2)
    attention_fma_forward_kernel(AttentionForward<Real> args, int tiles) {
  using Sizes = Tile<Width>;
  constexpr int R = Sizes::kRowSteps, C = Sizes::kColumnSteps;
  const int x = static_cast<int>(threadIdx.x) % kSide, y = static_cast<int>(threadIdx.x) / kSide;
  const int HS = static_cast<int>(args.HS), task = static_cast<int>(blockIdx.x) / tiles;
  const int i0 = static_cast<int>(blockIdx.x) % tiles * Sizes::kRows;
  const AttentionHead at = head_of(args, task);
  const float scale = 1 / sqrtf(static_cast<float>(HS));

  SharedPieces shared;
  float* queries = shared.take<float>(Sizes::kRows * Sizes::kStride);
  float* keys = shared.take<float>(Sizes::kColumns * Sizes::kStride);
  float* values = shared.take<float>(Sizes::kColumns * Sizes::kStride);
  float* weights = shared.take<float>(Sizes::kRows * Sizes::kWeightStride);
  auto* keeps = shared.take<std::uint16_t>(Sizes::kKeeps);

  float out[R][Sizes::kWidthSteps] = {}, sum[R] = {}, largest[R];
  GPU_UNROLL
  for (int r = 0; r < R; ++r) largest[r] = -INFINITY;
  load_rows<Width>(queries, args.qkv + at.q, at.qkv_stride, i0, Sizes::kRows, at.length, HS);
  const int end = i0 >= at.length ? 0
                  : args.causal   ? std::min(i0 + Sizes::kRows, at.length)
                                  : at.length;
  for (int j0 = 0; j0 < end; j0 += Sizes::kColumns) {
    __syncthreads();
    load_rows<Width>(keys, args.qkv + at.k, at.qkv_stride, j0, Sizes::kColumns, end, HS);
    load_rows<Width>(values, args.qkv + at.v, at.qkv_stride, j0, Sizes::kColumns, end, HS);
    if (args.p > 0) draw_keeps(keeps, dropout_of(args, task), i0, j0, Sizes::kRows, C);
    __syncthreads();
    float scores[R][C];
    dot_rows<Width>(scores, queries, keys, HS);
    GPU_UNROLL
    for (int r = 0; r < R; ++r) {
      const int row = y + kSide * r, visible = args.causal ? std::min(i0 + row + 1, end) : end;
      float top = largest[r];
      GPU_UNROLL
      for (int c = 0; c < C; ++c) {
        if (j0 + x + kSide * c >= visible) scores[r][c] = -INFINITY;
        top = fmaxf(top, scores[r][c]);
      }
      top = half_warp_max(top);
      const float shrink = expf((largest[r] - top) * scale);
      largest[r] = top;
      sum[r] *= shrink;
      GPU_UNROLL
      for (int w = 0; w < Sizes::kWidthSteps; ++w) out[r][w] *= shrink;
      GPU_UNROLL
      for (int c = 0; c < C; ++c) {
        const float weight = expf((scores[r][c] - top) * scale);
        const bool kept = args.p == 0 || (keeps[row * C + c] >> x & 1) != 0;
        sum[r] += weight;
        weights[row * Sizes::kWeightStride + x + kSide * c] = kept ? weight : 0.0f;
      }
    }
    __syncwarp();  // a row of weights is written and read by one half of a warp
    add_weighted<Width>(out, weights, values);
  }

  GPU_UNROLL
  for (int r = 0; r < R; ++r) {
    const int i = i0 + y + kSide * r;
    const float total = half_warp_sum(sum[r]);
    if (i >= args.T) continue;
    const auto factor = static_cast<float>(1 / (1 - args.p)) / total;
    write_row(args.out + at.out + i * at.out_stride, out[r], factor, i < at.length, HS);
    if (x == 0) args.lse[at.lse + i] = i < at.length ? largest[r] * scale + logf(total) : 0.0f;
  }
}

// What the backward must know of a query; a query past its length has an infinite lse.
struct QueryStats {
  float lse;
  float delta;  // Σ_j P_ij ∂loss/∂P_ij = out_i · dout_i
};

// Of the rows' queries, into shared memory and, for the other kernel, into `kept`.
template <int Width, class Real>
__device__ void find_stats(QueryStats* stats, QueryStats* kept, const AttentionBackward<Real>& args,
                           const AttentionHead& at, const float* douts, int i0) {
  const int x = static_cast<int>(threadIdx.x) % kSide, y = static_cast<int>(threadIdx.x) / kSide;
  for (int row = y; row < Tile<Width>::kRows; row += kSide) {
    const int i = i0 + row;
    const Real* out = args.out + at.out + i * at.out_stride;
    float delta = 0;
    if (i < at.length) {
      for (int d = x; d < args.HS; d += kSide)
        delta += out[d] * douts[row * Tile<Width>::kStride + d];
    }
    delta = half_warp_sum(delta);
    if (x == 0) {
      stats[row] = {i < at.length ? args.lse[at.lse + i] : INFINITY, delta};
      kept[i] = stats[row];
    }
  }
}

// Either a block's rows are queries and its columns keys, and it writes dq; or its rows are keys
// and its columns queries, and it writes dk and dv. stats: (B·NH, tiles·kRows).
template <bool KeyRows, int Width, class Real>
__global__ void __launch_bounds__(kThreads, 2)
    attention_fma_backward_kernel(AttentionBackward<Real> args, QueryStats* stats, int tiles) {
  using Sizes = Tile<Width>;
  constexpr int R = Sizes::kRowSteps, C = Sizes::kColumnSteps;
  constexpr int kQueries = KeyRows ? Sizes::kColumns : Sizes::kRows;
  constexpr int kKeyChunks = KeyRows ? R : C;
  const int x = static_cast<int>(threadIdx.x) % kSide, y = static_cast<int>(threadIdx.x) / kSide;
  const int HS = static_cast<int>(args.HS), task = static_cast<int>(blockIdx.x) / tiles;
  const int row0 = static_cast<int>(blockIdx.x) % tiles * Sizes::kRows;
  const AttentionHead at = head_of(args, task);
  const float scale = 1 / sqrtf(static_cast<float>(HS));
  const auto kept = static_cast<float>(1 / (1 - args.p));
  stats += std::int64_t{task} * tiles * Sizes::kRows;

  SharedPieces shared;
  float* score_rows = shared.take<float>(Sizes::kRows * Sizes::kStride);        // q or k
  float* value_rows = shared.take<float>(Sizes::kRows * Sizes::kStride);        // dout or v
  float* score_columns = shared.take<float>(Sizes::kColumns * Sizes::kStride);  // k or q
  float* value_columns = shared.take<float>(Sizes::kColumns * Sizes::kStride);  // v or dout
  float* weights = shared.take<float>(Sizes::kRows * Sizes::kWeightStride);     // keep·P
  float* dscores = shared.take<float>(Sizes::kRows * Sizes::kWeightStride);
  auto* query_stats = shared.take<QueryStats>(kQueries);
  auto* keeps = shared.take<std::uint16_t>(Sizes::kKeeps);

  const Real *q = args.qkv + at.q, *k = args.qkv + at.k, *v = args.qkv + at.v;
  const Real* dout = args.dout + at.out;
  load_rows<Width>(score_rows, KeyRows ? k : q, at.qkv_stride, row0, Sizes::kRows, at.length, HS);
  load_rows<Width>(value_rows, KeyRows ? v : dout, KeyRows ? at.qkv_stride : at.out_stride, row0,
                   Sizes::kRows, at.length, HS);
  if constexpr (!KeyRows) {
    __syncthreads();
    find_stats<Width>(query_stats, stats, args, at, value_rows, row0);
  }

  float dscore_rows[R][Sizes::kWidthSteps] = {};  // dq or dk
  float dvalue_rows[R][Sizes::kWidthSteps] = {};  // dv
  const int begin = KeyRows && args.causal ? row0 : 0;
  const int end = row0 >= at.length         ? 0
                  : !KeyRows && args.causal ? std::min(row0 + Sizes::kRows, at.length)
                                            : at.length;
  for (int column0 = begin; column0 < end; column0 += Sizes::kColumns) {
    const int i0 = KeyRows ? column0 : row0, j0 = KeyRows ? row0 : column0;
    __syncthreads();
    load_rows<Width>(score_columns, KeyRows ? q : k, at.qkv_stride, column0, Sizes::kColumns, end,
                     HS);
    load_rows<Width>(value_columns, KeyRows ? dout : v, KeyRows ? at.out_stride : at.qkv_stride,
                     column0, Sizes::kColumns, end, HS);
    if (KeyRows && threadIdx.x < kQueries) query_stats[threadIdx.x] = stats[i0 + threadIdx.x];
    if (args.p > 0) draw_keeps(keeps, dropout_of(args, task), i0, j0, kQueries, kKeyChunks);
    __syncthreads();
    float scores[R][C], dweights[R][C];
    dot_rows<Width>(scores, score_rows, score_columns, HS);
    dot_rows<Width>(dweights, value_rows, value_columns, HS);
    GPU_UNROLL
    for (int r = 0; r < R; ++r) {
      GPU_UNROLL
      for (int c = 0; c < C; ++c) {
        const int row = y + kSide * r, column = x + kSide * c;
        const int query = KeyRows ? column : row, key = KeyRows ? row : column;
        const bool sees = j0 + key < at.length && (!args.causal || j0 + key <= i0 + query);
        const bool keep = args.p == 0 ||
                          (keeps[query * kKeyChunks + key / kKeepKeys] >> key % kKeepKeys & 1) != 0;
        const QueryStats of = query_stats[query];
        const float weight = sees ? expf(scores[r][c] * scale - of.lse) : 0.0f;
        const int n = row * Sizes::kWeightStride + column;
        weights[n] = keep ? weight : 0.0f;
        dscores[n] = weight * ((keep ? dweights[r][c] * kept : 0.0f) - of.delta);
      }
    }
    __syncwarp();
    add_weighted<Width>(dscore_rows, dscores, score_columns);
    if constexpr (KeyRows) add_weighted<Width>(dvalue_rows, weights, value_columns);
  }

  GPU_UNROLL
  for (int r = 0; r < R; ++r) {
    const int row = row0 + y + kSide * r;
    if (row >= args.T) continue;
    const bool attends = row < at.length;
    Real* gradient = args.dqkv + row * at.qkv_stride;
    write_row(gradient + (KeyRows ? at.k : at.q), dscore_rows[r], scale, attends, HS);
    if constexpr (KeyRows) write_row(gradient + at.v, dvalue_rows[r], kept, attends, HS);
  }
}

// Calls function(width) with the least that a head fits.
template <class Function>
void with_width(std::int64_t HS, const Function& function) {
  if (HS <= 32) return function(std::integral_constant<int, 32>{});
  if (HS <= 64) return function(std::integral_constant<int, 64>{});
  if (HS <= 128) return function(std::integral_constant<int, 128>{});
  if (HS <= 256) return function(std::integral_constant<int, 256>{});
  throw Error("attention: a head size of " + std::to_string(HS) + "; a GPU takes at most 256");
}

template <int Width>
std::size_t forward_room() {
  using Sizes = Tile<Width>;
  return shared_room(sizeof(float) * Sizes::kRows * Sizes::kStride) +
         2 * shared_room(sizeof(float) * Sizes::kColumns * Sizes::kStride) +
         shared_room(sizeof(float) * Sizes::kRows * Sizes::kWeightStride) +
         shared_room(sizeof(std::uint16_t) * Sizes::kKeeps);
}

template <bool KeyRows, int Width>
std::size_t backward_room() {
  using Sizes = Tile<Width>;
  return 2 * shared_room(sizeof(float) * Sizes::kRows * Sizes::kStride) +
         2 * shared_room(sizeof(float) * Sizes::kColumns * Sizes::kStride) +
         2 * shared_room(sizeof(float) * Sizes::kRows * Sizes::kWeightStride) +
         shared_room(sizeof(QueryStats) * (KeyRows ? Sizes::kColumns : Sizes::kRows)) +
         shared_room(sizeof(std::uint16_t) * Sizes::kKeeps);
}

}  // namespace

template <class Real>
void attention_fma_forward(On<Cuda, Real> on, const AttentionForward<Real>& args) {
  with_width(args.HS, [&](auto width) {
    constexpr int kWidth = decltype(width)::value;
    const unsigned tiles = blocks_for(args.T, Tile<kWidth>::kRows);
    launch({"attention_fma_forward", static_cast<unsigned>(args.B * args.NH) * tiles, kThreads,
            forward_room<kWidth>()},
           on.stream, attention_fma_forward_kernel<kWidth, Real>, args, static_cast<int>(tiles));
  });
}

template <class Real>
void attention_fma_backward(On<Cuda, Real> on, const AttentionBackward<Real>& args) {
  with_width(args.HS, [&](auto width) {
    constexpr int kWidth = decltype(width)::value;
    const unsigned tiles = blocks_for(args.T, Tile<kWidth>::kRows);
    const auto blocks = static_cast<unsigned>(args.B * args.NH) * tiles;
    auto* stats = static_cast<QueryStats*>(
        gpu_scratch(on.stream, std::size_t{blocks} * Tile<kWidth>::kRows * sizeof(QueryStats)));
    launch({"attention_fma_dq", blocks, kThreads, backward_room<false, kWidth>()}, on.stream,
           attention_fma_backward_kernel<false, kWidth, Real>, args, stats,
           static_cast<int>(tiles));
    launch({"attention_fma_dkv", blocks, kThreads, backward_room<true, kWidth>()}, on.stream,
           attention_fma_backward_kernel<true, kWidth, Real>, args, stats, static_cast<int>(tiles));
  });
}

template void attention_fma_forward(On<Cuda, float>, const AttentionForward<float>&);
template void attention_fma_forward(On<Cuda, bf16>, const AttentionForward<bf16>&);
template void attention_fma_backward(On<Cuda, float>, const AttentionBackward<float>&);
template void attention_fma_backward(On<Cuda, bf16>, const AttentionBackward<bf16>&);

}  // namespace masque
