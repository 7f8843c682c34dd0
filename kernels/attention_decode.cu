#include <string>

#include "kernels/attention_decode.h"
#include "kernels/elements.cuh"
#include "kernels/gpu.h"
#include "kernels/grid_reduce.cuh"

namespace masque {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;
constexpr std::int64_t kMostScores = 8192;  // that a block keeps in shared memory: 32 KB

// A head's rows of one sequence: those before `past` in the cache, the new ones still in qkv, where
// other blocks cannot be writing.
template <class Real>
struct Rows {
  const Real* cached;
  const Real* fresh;
  std::int64_t past, width;

  __device__ const Real* at(std::int64_t j) const {
    return j < past ? cached + j * width : fresh + (j - past) * 3 * width;
  }
};

// A block has one query (b, t, head). A warp takes every kWarps-th key, its lanes the columns; then
// a warp takes every kWarps-th value. What is added in which order depends on the number of visible
// entries alone, not on how many of them are new.
template <class Real>
__global__ void __launch_bounds__(kThreads) attention_decode_kernel(AttentionDecode<Real> args) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const std::int64_t HS = args.HS, width = args.NH * HS;
  const std::int64_t row = blockIdx.x / args.NH, head = blockIdx.x % args.NH;
  const std::int64_t b = row / args.T, t = row % args.T, visible = args.past + t + 1;
  const std::int64_t cache = b * args.capacity * width + head * HS;
  const Real* const query = args.qkv + row * 3 * width + head * HS;
  const Real* const first = args.qkv + b * args.T * 3 * width + head * HS;
  const Rows<Real> keys{args.keys + cache, first + width, args.past, width};
  const Rows<Real> values{args.values + cache, first + 2 * width, args.past, width};

  const std::int64_t entry = cache + (args.past + t) * width;
  for (std::int64_t d = threadIdx.x; d < HS; d += kThreads) {
    args.keys[entry + d] = query[width + d];
    args.values[entry + d] = query[2 * width + d];
  }

  SharedPieces shared;
  float* const weights = shared.take<float>(static_cast<std::size_t>(args.past + args.T));
  float* const parts = shared.take<float>(static_cast<std::size_t>(kWarps * HS));
  const float scale = 1 / sqrtf(static_cast<float>(HS));
  float largest = -INFINITY;
  for (std::int64_t j = warp; j < visible; j += kWarps) {
    const Real* const key = keys.at(j);
    float dot = 0;
    for (std::int64_t d = lane; d < HS; d += 32) dot = fmaf(query[d], key[d], dot);
    dot = warp_sum(dot) * scale;
    if (lane == 0) weights[j] = dot;
    largest = fmaxf(largest, dot);
  }
  largest = block_max<kThreads>(largest);  // and the weights are there
  float sum = 0;
  for (std::int64_t j = threadIdx.x; j < visible; j += kThreads) {
    weights[j] = expf(weights[j] - largest);
    sum += weights[j];
  }
  sum = block_sum<kThreads>(sum);
  for (std::int64_t d = lane; d < HS; d += 32) {
    float part = 0;
    for (std::int64_t j = warp; j < visible; j += kWarps) {
      part = fmaf(weights[j], values.at(j)[d], part);
    }
    parts[warp * HS + d] = part;
  }
  __syncthreads();
  for (std::int64_t d = threadIdx.x; d < HS; d += kThreads) {
    float out = 0;
    for (int part = 0; part < kWarps; ++part) out += parts[part * HS + d];
    args.out[row * width + head * HS + d] = static_cast<Real>(out / sum);
  }
}

}  // namespace

template <class Real>
void attention_decode(On<Cuda, Real> on, const AttentionDecode<Real>& args) {
  const std::int64_t entries = args.past + args.T;
  if (entries > args.capacity) cache_is_full(entries, args.capacity);
  if (entries > kMostScores) {
    throw Error("attention_decode: " + std::to_string(entries) +
                " positions; a GPU takes at most " + std::to_string(kMostScores));
  }
  const std::size_t room = shared_room(sizeof(float) * static_cast<std::size_t>(entries)) +
                           shared_room(sizeof(float) * static_cast<std::size_t>(kWarps * args.HS));
  launch({"attention_decode", static_cast<unsigned>(args.B * args.T * args.NH), kThreads, room},
         on.stream, attention_decode_kernel<Real>, args);
}

template void attention_decode(On<Cuda, float>, const AttentionDecode<float>&);
template void attention_decode(On<Cuda, bf16>, const AttentionDecode<bf16>&);

}  // namespace masque
