#include <limits>
#include <type_traits>

#include "kernels/classifier_loss.h"
#include "kernels/classifier_loss_parts.h"
#include "kernels/gpu.h"
#include "kernels/gpu_gemm.h"
#include "kernels/grid_reduce.cuh"
#include "kernels/mma_tile.cuh"
#include "kernels/pack.cuh"

namespace masque {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = 32 * kWarps;
constexpr int kRows = kWarps * kMmaRows;  // of a block
constexpr int kChunk = 64;                // columns of hidden and head at a time
using Tile = PaddedTile<kChunk>;
constexpr int kPieces = kChunk / kPack<bf16>;
constexpr std::int64_t kMaxV = 256;
constexpr float kLowest = -std::numeric_limits<float>::infinity();

// Two chunks of the block's rows of hidden, and of head padded to Entries rows.
template <int Entries>
constexpr std::size_t kSharedBytes = 2 * (tile_room<Tile>(kRows) + tile_room<Tile>(Entries));

// What a thread's rows add to the totals.
struct RowTotals {
  double loss = 0;
  int correct = 0;
};

// Calls function(row, column, piece) for this thread's 16-byte pieces of a chunk of `rows` rows.
template <class Function>
__device__ __forceinline__ void for_pieces(int rows, int chunk, const Function& function) {
  GPU_UNROLL
  for (int at = static_cast<int>(threadIdx.x); at < rows * kPieces; at += kThreads) {
    const int row = at / kPieces, piece = at % kPieces * kPack<bf16>;
    function(row, chunk * kChunk + piece, row * Tile::kStride + piece);
  }
}

// The rows' gradient where none of them weighs, and what else they write.
__device__ __forceinline__ void write_zeros(const ClassifierLossForward<bf16>& args,
                                            std::int64_t first) {
  const std::int64_t rows = args.N - first < kRows ? args.N - first : kRows;
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < rows) {
    args.nll[first + thread] = 0;
    args.correct[first + thread] = 0;
  }
  if (args.dhidden == nullptr) return;
  const auto clear = [&](bf16* values, std::int64_t width) {
    for (std::int64_t i = thread * kPack<bf16>; i < rows * width; i += kThreads * kPack<bf16>) {
      store_as(values + first * width + i, uint4{});
    }
  };
  clear(args.dhidden, args.C);
  clear(args.dlogits, classifier_loss_room(args.V));
}

// From a warp's logits to the gradient of the loss, in place. The four lanes of a row share it.
template <int N>
__device__ __forceinline__ RowTotals loss_of_rows(const ClassifierLossForward<bf16>& args,
                                                  const float* weights, std::int64_t first,
                                                  float (&logits)[1][N][4]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const auto entry = [&](int n, int e) { return 8 * n + lane % 4 * 2 + e % 2; };
  GPU_UNROLL
  for (int n = 0; n < N; ++n) {
    GPU_UNROLL
    for (int e = 0; e < 2; ++e) {
      const int v = entry(n, e);
      if (v < args.V && (args.excluded == nullptr || args.excluded[v] == 0)) continue;
      logits[0][n][e] = logits[0][n][e + 2] = kLowest;
    }
  }
  RowTotals totals;
  GPU_UNROLL
  for (int half = 0; half < 2; ++half) {
    const int row = lane / 4 + 8 * half, begin = 2 * half, end = begin + 2;
    const float weight = weights[row];
    const int target = weight != 0 ? args.targets[first + row] : -1;
    float max = kLowest, target_logit = kLowest;  // fmaxf leaves out NaN, which shows in the sum
    GPU_UNROLL
    for (int n = 0; n < N; ++n) {
      GPU_UNROLL
      for (int e = begin; e < end; ++e) {
        max = fmaxf(max, logits[0][n][e]);
        if (entry(n, e) == target) target_logit = logits[0][n][e];
      }
    }
    max = quad_max(max);
    target_logit = quad_max(target_logit);
    float sum = 0, beaten = target_logit == max ? 0.0f : 1.0f;
    GPU_UNROLL
    for (int n = 0; n < N; ++n) {
      GPU_UNROLL
      for (int e = begin; e < end; ++e) {
        float& value = logits[0][n][e];
        if (value == max && entry(n, e) < target) beaten = 1;
        value = __expf(value - max);
        sum += value;
      }
    }
    sum = quad_sum(sum);
    beaten = quad_max(beaten);
    const float scale = weight / sum;
    GPU_UNROLL
    for (int n = 0; n < N; ++n) {
      GPU_UNROLL
      for (int e = begin; e < end; ++e) {
        float& value = logits[0][n][e];
        value = weight == 0 ? 0 : value * scale - (entry(n, e) == target ? weight : 0.0f);
      }
    }
    if (lane % 4 != 0 || first + row >= args.N) continue;
    const float nll = weight == 0 ? 0 : max - target_logit + logf(sum);
    const int correct = weight != 0 && beaten == 0 ? 1 : 0;
    args.nll[first + row] = nll;
    args.correct[first + row] = correct;
    totals.loss += double{weight} * double{nll};
    totals.correct += correct;
  }
  return totals;
}

// A warp's rows of dlogits, zeros as far as they are padded.
template <int N>
__device__ __forceinline__ void write_dlogits(const ClassifierLossForward<bf16>& args,
                                              std::int64_t first, const float (&dlogits)[1][N][4]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::int64_t width = classifier_loss_room(args.V);
  GPU_UNROLL
  for (int half = 0; half < 2; ++half) {
    const std::int64_t row = first + lane / 4 + 8 * half;
    if (row >= args.N) continue;
    bf16* to = args.dlogits + row * width + lane % 4 * 2;
    GPU_UNROLL
    for (int n = 0; n < N; ++n) {
      const float(&values)[4] = dlogits[0][n];
      if (8 * n < width) store_as(to + 8 * n, pack_rounded(values[2 * half], values[2 * half + 1]));
    }
  }
}

// A warp's rows of one chunk of dhidden, by way of `tile`, rows of its own. After a barrier since
// what lay there was read.
__device__ __forceinline__ void write_dhidden(const ClassifierLossForward<bf16>& args,
                                              std::int64_t first, int chunk, bf16* tile,
                                              const float (&sums)[1][kChunk / 8][4]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  store_tile<Tile>(tile, sums, 1.0f, 0);
  __syncwarp();
  GPU_UNROLL
  for (int at = lane; at < kMmaRows * kPieces; at += 32) {
    const int row = at / kPieces, piece = at % kPieces * kPack<bf16>;
    const int column = chunk * kChunk + piece;
    if (first + row >= args.N || column >= args.C) continue;
    store_as(args.dhidden + (first + row) * args.C + column,
             load_as<uint4>(tile + row * Tile::kStride + piece));
  }
}

// A block has kRows rows, a warp 16 of them and all V ≤ Entries logits of each. First over the
// chunks of C for the logits, then back over them for dhidden, beginning with the two that are
// still there.
template <int Entries>
__global__ void __launch_bounds__(kThreads)
    classifier_loss_kernel(ClassifierLossForward<bf16> args, double* parts, unsigned* counter) {
  constexpr int kN = Entries / 8;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int C = static_cast<int>(args.C), V = static_cast<int>(args.V);
  const int chunks = (C + kChunk - 1) / kChunk;
  const std::int64_t block_first = std::int64_t{blockIdx.x} * kRows;
  const std::int64_t first = block_first + warp * kMmaRows;  // of the warp

  SharedPieces shared;
  bf16* const both_hidden = shared.take<bf16>(2 * kRows * Tile::kStride);
  bf16* const both_head = shared.take<bf16>(2 * Entries * Tile::kStride);
  const auto hidden = [&](int chunk) { return both_hidden + chunk % 2 * kRows * Tile::kStride; };
  const auto head = [&](int chunk) { return both_head + chunk % 2 * Entries * Tile::kStride; };
  GPU_SHARED(float, weights, [kRows]);
  bool weighs = false;
  if (threadIdx.x < kRows) {
    const std::int64_t n = block_first + threadIdx.x;
    const float weight = n < args.N ? args.weights[n] : 0;
    weights[threadIdx.x] = weight;
    weighs = weight != 0;
  }
  const int weigh = block_sum<kThreads>(weighs ? 1 : 0);

  RowTotals totals;
  if (weigh == 0) {
    write_zeros(args, block_first);
  } else {
    const auto copy_hidden = [&](int chunk) {
      for_pieces(kRows, chunk, [&](int row, int column, int to) {
        copy_async16(hidden(chunk) + to, args.hidden + (block_first + row) * C + column,
                     weights[row] != 0 && column < C);
      });
    };
    const auto copy_head = [&](int chunk) {
      for_pieces(Entries, chunk, [&](int v, int column, int to) {
        copy_async16(head(chunk) + to, args.head + v * C + column, v < V && column < C);
      });
    };
    const float* own_weights = weights + warp * kMmaRows;
    const bool busy = __any_sync(kAllLanes, own_weights[lane % kMmaRows] != 0) != 0;
    float sums[1][kN][4] = {};  // logits, then dlogits
    copy_hidden(0);
    copy_head(0);
    commit_copies();
    for (int chunk = 0; chunk < chunks; ++chunk) {
      wait_copies<0>();
      __syncthreads();  // this chunk is here, and nobody reads the one before it any more
      if (chunk + 1 < chunks) {
        copy_hidden(chunk + 1);
        copy_head(chunk + 1);
        commit_copies();
      }
      bf16* rows = hidden(chunk) + warp * kMmaRows * Tile::kStride;
      if (busy) add_multiplied<Tile>(sums, rows, head(chunk));
    }
    totals = loss_of_rows(args, own_weights, first, sums);
    if (args.dhidden != nullptr) {
      write_dlogits(args, first, sums);
      for (int chunk = chunks - 1; chunk >= 0; --chunk) {
        wait_copies<0>();
        __syncthreads();  // as above, with the one after it
        if (chunk > 0 && chunk + 1 < chunks) {
          copy_head(chunk - 1);
          commit_copies();
        }
        float dhidden[1][kChunk / 8][4] = {};
        if (busy) add_product<Tile>(dhidden, sums, head(chunk));
        write_dhidden(args, first, chunk, hidden(0) + warp * kMmaRows * Tile::kStride, dhidden);
      }
    }
  }

  double loss = block_sum<kThreads>(totals.loss);
  const int correct = block_sum<kThreads>(totals.correct);
  if (threadIdx.x == 0) add_counts(args.counts, weigh, correct);
  if (!sum_over_grid<kThreads>(loss, parts, counter)) return;
  if (threadIdx.x == 0) *args.loss += loss;
}

template <int Entries>
void launch_padded(cudaStream_t stream, const ClassifierLossForward<bf16>& args) {
  const unsigned blocks = blocks_for(args.N, kRows);
  auto* parts = static_cast<double*>(gpu_scratch(stream, blocks * sizeof(double)));
  launch({"classifier_loss", blocks, kThreads, kSharedBytes<Entries>}, stream,
         classifier_loss_kernel<Entries>, args, parts, gpu_counters(stream));
}

void launch_fused(cudaStream_t stream, const ClassifierLossForward<bf16>& args) {
  if (args.V <= 32) return launch_padded<32>(stream, args);
  if (args.V <= 64) return launch_padded<64>(stream, args);
  if (args.V <= 80) return launch_padded<80>(stream, args);
  if (args.V <= 128) return launch_padded<128>(stream, args);
  if (args.V <= 192) return launch_padded<192>(stream, args);
  return launch_padded<256>(stream, args);
}

// Of the shape alone, so that forward and backward agree on how dlogits lie.
bool is_fused(std::int64_t V, std::int64_t C) {
  return V <= kMaxV && C % 16 == 0;
}

}  // namespace

template <class Real>
void classifier_loss_forward(On<Cuda, Real> on, const ClassifierLossForward<Real>& args) {
  if constexpr (std::is_same_v<Real, bf16>) {
    if (is_fused(args.V, args.C)) {
      if (!packs_fit<bf16>(args.C, args.hidden, args.head, args.dhidden, args.dlogits)) {
        throw Error(
            "classifier_loss: hidden, head, dhidden and dlogits must start at multiples of 16 "
            "bytes");
      }
      return launch_fused(on.stream, args);
    }
  }
  classifier_loss_forward_in_parts(on, args);
}

template <class Real>
void classifier_loss_backward(On<Cuda, Real> on, const ClassifierLossBackward<Real>& args) {
  if constexpr (std::is_same_v<Real, bf16>) {
    if (is_fused(args.V, args.C)) {
      gpu_gemm(on.stream, GpuGemm<bf16, float>{.c = args.dhead,  // dhead += dlogitsᵀ · hidden
                                               .a = args.dlogits,
                                               .b = args.hidden,
                                               .bias = nullptr,
                                               .transpose_a = true,
                                               .accumulate = true,
                                               .M = args.V,
                                               .N = args.C,
                                               .K = args.N,
                                               .a_stride = classifier_loss_room(args.V)});
      return;
    }
  }
  classifier_loss_backward_in_parts(on, args);
}

template void classifier_loss_forward(On<Cuda, float>, const ClassifierLossForward<float>&);
template void classifier_loss_forward(On<Cuda, bf16>, const ClassifierLossForward<bf16>&);
template void classifier_loss_backward(On<Cuda, float>, const ClassifierLossBackward<float>&);
template void classifier_loss_backward(On<Cuda, bf16>, const ClassifierLossBackward<bf16>&);

}  // namespace masque
