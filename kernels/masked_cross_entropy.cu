#include <cmath>
#include <limits>

#include "kernels/gpu.h"
#include "kernels/grid_reduce.cuh"
#include "kernels/masked_cross_entropy.h"
#include "kernels/pack.cuh"

namespace masque {
namespace {

constexpr int kRows = 8;  // a block, where a warp has a row
constexpr int kRowsThreads = kRows * kWarpSize;
constexpr std::int64_t kWarpV = 1024;     // the largest V whose row fits a warp's registers
constexpr std::int64_t kNarrowV = 16384;  // above, so many blocks of 256 would overflow the L2
constexpr float kLowest = -std::numeric_limits<float>::infinity();

// What one of the Lanes threads of a row holds: packs where the rows fit them, else single entries,
// so that neighbouring lanes always touch neighbours. Slots number a thread's entries.
template <class Real, bool Packed, int Lanes>
struct Share {
  const MaskedCrossEntropy<Real>& args;
  std::int64_t row;  // its first element
  int lane, V;

  __device__ Share(const MaskedCrossEntropy<Real>& arguments, std::int64_t n, int lane_of_row)
      : args(arguments), row(n * args.V), lane(lane_of_row), V(static_cast<int>(args.V)) {}

  __device__ int entry(int slot) const {
    constexpr int kWidth = Packed ? kPack<Real> : 1;
    return (slot / kWidth * Lanes + lane) * kWidth + slot % kWidth;
  }

  // Excluded entries, and those beyond the row, are −∞.
  template <int Slots>
  __device__ void load(int first, float (&logits)[Slots]) const {
    if constexpr (Packed) {
      using Flags = std::conditional_t<kPack<Real> == 8, std::uint64_t, std::uint32_t>;
      GPU_UNROLL
      for (int slot = 0; slot < Slots; slot += kPack<Real>) {
        const int v = entry(first + slot);
        const bool inside = v < V;
        const Pack<Real> pack = inside ? load_pack(args.logits + row + v) : Pack<Real>{};
        const Flags out =
            inside && args.excluded != nullptr ? load_as<Flags>(args.excluded + v) : 0;
        GPU_UNROLL
        for (int i = 0; i < kPack<Real>; ++i) {
          const bool takes_part = inside && (out >> 8 * i & 0xffu) == 0;
          logits[slot + i] = takes_part ? static_cast<float>(pack[i]) : kLowest;
        }
      }
    } else {
      GPU_UNROLL
      for (int slot = 0; slot < Slots; ++slot) {
        const int v = entry(first + slot);
        const bool inside = v < V;
        const float logit = inside ? static_cast<float>(args.logits[row + v]) : kLowest;
        const bool out = inside && args.excluded != nullptr && args.excluded[v] != 0;
        logits[slot] = out ? kLowest : logit;
      }
    }
  }

  template <int Slots>
  __device__ void store(int first, const float (&gradient)[Slots]) const {
    constexpr int kWidth = Packed ? kPack<Real> : 1;
    GPU_UNROLL
    for (int slot = 0; slot < Slots; slot += kWidth) {
      const int v = entry(first + slot);
      if (v >= V) continue;
      if constexpr (Packed) {
        Pack<Real> pack;
        for (int i = 0; i < kWidth; ++i) pack[i] = static_cast<Real>(gradient[slot + i]);
        store_pack(args.dlogits + row + v, pack);
      } else {
        args.dlogits[row + v] = static_cast<Real>(gradient[slot]);
      }
    }
  }
};

enum Tally { kWeightless, kWrong, kCorrect };  // what a row is

// By one thread of a row. Returns what the row adds to the loss.
template <class Real>
__device__ double finish_row(const MaskedCrossEntropy<Real>& args, std::int64_t n, float nll,
                             Tally row, Tally* tally) {
  *tally = row;
  args.nll[n] = nll;
  if (args.correct != nullptr) args.correct[n] = row == kCorrect ? 1 : 0;
  return double{args.weights[n]} * double{nll};
}

// By thread 0, from the tallies of a block's rows.
template <class Real>
__device__ void count_rows(const MaskedCrossEntropy<Real>& args, const Tally* tallies, int rows) {
  int weigh = 0, correct = 0;
  GPU_ROLLED
  for (int row = 0; row < rows; ++row) {
    weigh += tallies[row] != kWeightless ? 1 : 0;
    correct += tallies[row] == kCorrect ? 1 : 0;
  }
  add_counts(args.counts, weigh, correct);
}

// A row kept in the registers of a warp. The result is lane 0's.
template <class Real, bool Packed, int Slots>
__device__ double warp_row(const MaskedCrossEntropy<Real>& args, std::int64_t n, Tally* tally) {
  const int lane = static_cast<int>(threadIdx.x % kWarpSize);
  const Share<Real, Packed, kWarpSize> share(args, n, lane);
  const float weight = args.weights[n];
  float values[Slots] = {};
  if (weight == 0) {
    if (args.dlogits != nullptr) share.store(0, values);
    return lane == 0 ? finish_row(args, n, 0, kWeightless, tally) : 0;
  }
  share.load(0, values);
  const int target = args.targets[n];
  const float target_logit = args.logits[share.row + target];
  float max = kLowest;  // fmaxf leaves out NaN, which shows in the sum
  for (const float logit : values) max = fmaxf(max, logit);
  max = warp_max(max);
  bool beaten = target_logit != max;
  float sum = 0;
  GPU_UNROLL
  for (int slot = 0; slot < Slots; ++slot) {
    beaten |= values[slot] == max && share.entry(slot) < target;
    values[slot] = __expf(values[slot] - max);
    sum += values[slot];
  }
  sum = warp_sum(sum);
  beaten = __any_sync(kAllLanes, beaten) != 0;
  double loss = 0;
  if (lane == 0) {
    const Tally row = beaten ? kWrong : kCorrect;
    loss = finish_row(args, n, max - target_logit + logf(sum), row, tally);
  }
  if (args.dlogits == nullptr) return loss;
  __syncwarp();  // all have read the target's logit
  const float scale = weight / sum;
  GPU_UNROLL
  for (int slot = 0; slot < Slots; ++slot) {
    values[slot] = values[slot] * scale - (share.entry(slot) == target ? weight : 0.0f);
  }
  share.store(0, values);
  return loss;
}

// A row read twice by a block. The result is thread 0's.
template <class Real, bool Packed, int Threads>
__device__ double block_row(const MaskedCrossEntropy<Real>& args, std::int64_t n, Tally* tally) {
  constexpr int kSlots = Packed ? kPack<Real> : 4;
  const Share<Real, Packed, Threads> share(args, n, static_cast<int>(threadIdx.x));
  const int slots = static_cast<int>((args.V + Threads - 1) / Threads);
  const float weight = args.weights[n];
  float values[kSlots] = {};
  if (weight == 0) {
    if (args.dlogits != nullptr) {
      for (int first = 0; first < slots; first += kSlots) share.store(first, values);
    }
    return threadIdx.x == 0 ? finish_row(args, n, 0, kWeightless, tally) : 0;
  }
  const int target = args.targets[n];
  const float target_logit = args.logits[share.row + target];
  float max = kLowest, sum = 0;  // of this thread so far: sum = Σ exp(logit − max)
  int first_max = 0;
  for (int first = 0; first < slots; first += kSlots) {
    share.load(first, values);
    float above = max;
    for (const float logit : values) above = fmaxf(above, logit);
    if (above > max) {
      sum *= __expf(max - above);
      max = above;
      GPU_UNROLL
      for (int slot = kSlots - 1; slot >= 0; --slot) {
        if (values[slot] == max) first_max = share.entry(first + slot);
      }
    }
    // Before anything but −∞ came, the difference would be NaN.
    for (const float logit : values) sum += logit == kLowest ? 0.0f : __expf(logit - max);
  }
  const float own_max = max;
  max = block_max<Threads>(own_max);
  sum = block_sum<Threads>(own_max == max ? sum : sum * __expf(own_max - max));
  const bool beaten = target_logit != max || (own_max == max && first_max < target);
  const int beaters = block_sum<Threads>(beaten ? 1 : 0);
  double loss = 0;
  if (threadIdx.x == 0) {
    const Tally row = beaters == 0 ? kCorrect : kWrong;
    loss = finish_row(args, n, max - target_logit + logf(sum), row, tally);
  }
  if (args.dlogits == nullptr) return loss;
  const float scale = weight / sum;
  for (int first = 0; first < slots; first += kSlots) {
    share.load(first, values);
    GPU_UNROLL
    for (int slot = 0; slot < kSlots; ++slot) {
      const float subtrahend = share.entry(first + slot) == target ? weight : 0.0f;
      values[slot] = __expf(values[slot] - max) * scale - subtrahend;
    }
    share.store(first, values);
  }
  return loss;
}

template <class Real, bool Packed, int Slots>
__global__ void __launch_bounds__(kRowsThreads, 1)  // the 1 keeps ptxas from spilling
    masked_cross_entropy_warp_kernel(MaskedCrossEntropy<Real> args, double* parts,
                                     unsigned* counter) {
  GPU_SHARED(double, losses, [kRows]);
  GPU_SHARED(Tally, tallies, [kRows]);
  const int warp = static_cast<int>(threadIdx.x / kWarpSize);
  const std::int64_t n = std::int64_t{blockIdx.x} * kRows + warp;
  double row_loss = 0;
  if (n < args.N) {
    row_loss = warp_row<Real, Packed, Slots>(args, n, tallies + warp);
  } else if (threadIdx.x % kWarpSize == 0) {
    tallies[warp] = kWeightless;
  }
  if (threadIdx.x % kWarpSize == 0) losses[warp] = row_loss;
  __syncthreads();
  double loss = 0;
  for (const double part : losses) loss += part;
  if (threadIdx.x == 0) count_rows(args, tallies, kRows);
  if (!sum_over_grid<kRowsThreads>(loss, parts, counter)) return;
  if (threadIdx.x == 0) *args.loss += loss;
}

template <class Real, bool Packed, int Threads>
__global__ void __launch_bounds__(Threads)
    masked_cross_entropy_block_kernel(MaskedCrossEntropy<Real> args, double* parts,
                                      unsigned* counter) {
  GPU_SHARED(Tally, tally, [1]);
  double loss = block_row<Real, Packed, Threads>(args, blockIdx.x, tally);
  if (threadIdx.x == 0) count_rows(args, tally, 1);
  if (!sum_over_grid<Threads>(loss, parts, counter)) return;
  if (threadIdx.x == 0) *args.loss += loss;
}

template <bool Packed, class Real>
void launch_rows(On<Cuda, Real> on, const MaskedCrossEntropy<Real>& args) {
  const unsigned blocks = blocks_for(args.N, args.V <= kWarpV ? kRows : 1);
  auto* parts = static_cast<double*>(gpu_scratch(on.stream, blocks * sizeof(double)));
  const auto go = [&](unsigned threads, auto kernel) {
    launch({"masked_cross_entropy", blocks, threads}, on.stream, kernel, args, parts,
           gpu_counters(on.stream));
  };
  constexpr int kFew = Packed ? kPack<Real> : 4;
  if (args.V <= 32 * kFew) {
    go(kRowsThreads, masked_cross_entropy_warp_kernel<Real, Packed, kFew>);
  } else if (args.V <= 32 * 8) {
    go(kRowsThreads, masked_cross_entropy_warp_kernel<Real, Packed, 8>);
  } else if (args.V <= kWarpV) {
    go(kRowsThreads, masked_cross_entropy_warp_kernel<Real, Packed, 32>);
  } else if (args.V <= kNarrowV) {
    go(256, masked_cross_entropy_block_kernel<Real, Packed, 256>);
  } else {
    go(1024, masked_cross_entropy_block_kernel<Real, Packed, 1024>);
  }
}

}  // namespace

template <class Real>
void masked_cross_entropy(On<Cuda, Real> on, const MaskedCrossEntropy<Real>& args) {
  if (packs_fit<Real>(args.V, args.logits, args.dlogits, args.excluded)) {
    launch_rows<true>(on, args);
  } else {
    launch_rows<false>(on, args);
  }
}

template void masked_cross_entropy(On<Cuda, float>, const MaskedCrossEntropy<float>&);
template void masked_cross_entropy(On<Cuda, bf16>, const MaskedCrossEntropy<bf16>&);

}  // namespace masque
