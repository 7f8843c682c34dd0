#include <bit>
#include <cmath>
#include <limits>

#include "kernels/gpu.h"
#include "kernels/grid_reduce.cuh"
#include "kernels/philox.h"
#include "kernels/sampling.h"

namespace masque {
namespace {

constexpr int kNarrowThreads = 32, kWideThreads = 512;  // a row
constexpr std::int64_t kNarrowV = 1024;
constexpr std::uint32_t kOrderedInfinity = 0xff800000u, kOrderedMinusInfinity = 0x007fffffu;

// Integers in the order of the floats; −0 is 0, and NaN is +∞: neither gives a distribution.
__device__ std::uint32_t ordered(float value) {
  if (!(value < std::numeric_limits<float>::infinity())) return kOrderedInfinity;
  const auto bits = std::bit_cast<std::uint32_t>(value + 0.0f);
  return bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
}

template <class Real>
struct Row {
  const Real* logits;
  const std::uint8_t* excluded;
  std::int64_t V;
  double max, temperature;

  // Different for all entries: greater for the larger logit and, of equals, for the lower id. 0
  // where excluded.
  __device__ std::uint64_t rank(std::int64_t v) const {
    if (excluded != nullptr && excluded[v] != 0) return 0;
    return std::uint64_t{ordered(logits[v])} * static_cast<std::uint64_t>(V) +
           static_cast<std::uint64_t>(V - 1 - v);
  }
  __device__ std::int64_t id(std::uint64_t rank) const {
    return V - 1 - static_cast<std::int64_t>(rank % static_cast<std::uint64_t>(V));
  }
  // Unnormalised, 1 for the most probable.
  __device__ double mass(std::int64_t v) const { return exp((logits[v] - max) / temperature); }
  __device__ double mass_at_1(std::int64_t v) const { return exp(logits[v] - max); }
  __device__ double mass_log_mass_at_1(std::int64_t v) const {
    const double mass = mass_at_1(v);
    return mass > 0 ? mass * (logits[v] - max) : 0;
  }
};

// Σ weight(v) of the entries with a rank from low to below high.
template <int Threads, class Real, class Weight>
__device__ double sum_ranks(const Row<Real>& row, std::uint64_t low, std::uint64_t high,
                            Weight weight) {
  double sum = 0;
  for (std::int64_t v = threadIdx.x; v < row.V; v += Threads) {
    const std::uint64_t rank = row.rank(v);
    if (rank >= low && rank < high) sum += weight(v);
  }
  return block_sum<Threads>(sum);
}

// A rank from which on, up to below `high`, weights sum to the goal, and do so with no entry less;
// `low` where they never do. Bisects until one entry is in question.
template <int Threads, class Real, class Weight>
__device__ std::uint64_t find_cut(const Row<Real>& row, std::uint64_t low, std::uint64_t high,
                                  double goal, Weight weight) {
  double above = 0;              // the weight from high on
  std::int64_t between = row.V;  // at most so many entries are from low to below high
  while (high - low > 1 && between > 1) {
    const std::uint64_t middle = low + (high - low) / 2;
    double part = 0;
    int count = 0;
    for (std::int64_t v = threadIdx.x; v < row.V; v += Threads) {
      const std::uint64_t rank = row.rank(v);
      if (rank < middle || rank >= high) continue;
      part += weight(v);
      ++count;
    }
    const double sum = above + block_sum<Threads>(part);
    count = block_sum<Threads>(count);
    if (sum >= goal) {
      low = middle;
      between = count;
    } else {
      high = middle;
      above = sum;
      between -= count;
    }
  }
  return low;
}

// What top_k leaves, then the fewest of it with a share ≥ top_p of its mass: the lowest rank kept.
template <int Threads, class Real>
__device__ std::uint64_t lowest_kept(const SampleTokens<Real>& args, const Row<Real>& row,
                                     std::uint64_t top) {
  const auto one = [](std::int64_t) { return 1.0; };
  const auto mass = [&row](std::int64_t v) { return row.mass(v); };
  std::uint64_t low = 1;
  if (args.top_k > 0 && args.top_k < row.V) {
    low = find_cut<Threads>(row, low, top + 1, static_cast<double>(args.top_k), one);
  }
  if (args.top_p < 1) {
    const double total = sum_ranks<Threads>(row, low, top + 1, mass);
    low = find_cut<Threads>(row, low, top + 1, args.top_p * total, mass);
  }
  return low;
}

// Lane i gets the sum over lanes 0 … i.
__device__ double warp_running_sum(double value) {
  const int lane = static_cast<int>(threadIdx.x % kWarpSize);
  for (int step = 1; step < 32; step *= 2) {
    const double before = __shfl_up_sync(kAllLanes, value, static_cast<unsigned>(step));
    if (lane >= step) value += before;
  }
  return value;
}

// The first entry whose running share of the kept mass exceeds u, for one thread; −1 for the
// others. Each warp has a stretch of the row.
template <int Threads, class Real>
__device__ std::int64_t draw_entry(const Row<Real>& row, std::uint64_t lowest, double u) {
  constexpr int kWarps = Threads / 32;
  const int warp = static_cast<int>(threadIdx.x / kWarpSize);
  const int lane = static_cast<int>(threadIdx.x % kWarpSize);
  const std::int64_t length = (row.V + kWarps - 1) / kWarps;
  const std::int64_t begin = warp * length;
  const std::int64_t end = begin + length < row.V ? begin + length : row.V;
  const auto kept_mass = [&](std::int64_t v) {
    return v < end && row.rank(v) >= lowest ? row.mass(v) : 0.0;
  };
  double part = 0;
  for (std::int64_t v = begin + lane; v < end; v += kWarpSize) part += kept_mass(v);
  part = warp_sum(part);
  GPU_SHARED(double, parts, [kWarps]);
  if (lane == 0) parts[warp] = part;
  __syncthreads();
  double total = 0;
  for (const double each : parts) total += each;
  // The stretch in which the running sum passes u·total; by rounding it may be past the last.
  double running = 0, before = 0;
  int chosen = 0;
  for (int i = 0; i < kWarps; ++i) {
    if (parts[i] == 0) continue;
    chosen = i;
    before = running;
    running += parts[i];
    if (running > u * total) break;
  }
  if (warp != chosen) return -1;
  std::int64_t last = -1;  // of this lane with any mass
  for (std::int64_t first = begin; first < end; first += kWarpSize) {
    const double mass = kept_mass(first + lane);
    const double sum = before + warp_running_sum(mass);
    if (mass > 0) last = first + lane;
    const unsigned passed = __ballot_sync(kAllLanes, mass > 0 && sum > u * total);
    if (passed != 0) return lane == 0 ? first + __ffs(static_cast<int>(passed)) - 1 : -1;
    before = __shfl_sync(kAllLanes, sum, 31);
  }
  last = warp_max(last);
  return lane == 0 ? last : -1;
}

// How sure the row is: of `kind`, unless that is the drawn token's probability. top: the largest
// rank. sum: Σ exp at temperature 1.
template <int Threads, class Real>
__device__ double row_confidence(Confidence kind, const Row<Real>& row, std::uint64_t top,
                                 double sum) {
  if (kind == Confidence::max_prob) return 1 / sum;
  if (kind == Confidence::margin) {
    std::uint64_t second = 0;
    for (std::int64_t v = threadIdx.x; v < row.V; v += Threads) {
      const std::uint64_t rank = row.rank(v);
      second = rank < top && rank > second ? rank : second;
    }
    second = block_max<Threads>(second);
    return (1 - (second == 0 ? 0.0 : row.mass_at_1(row.id(second)))) / sum;
  }
  if (kind == Confidence::entropy) {
    const double total = sum_ranks<Threads>(
        row, 1, top + 1, [&row](std::int64_t v) { return row.mass_log_mass_at_1(v); });
    return total / sum - log(sum);
  }
  return 0;
}

// A block a row.
template <class Real, int Threads>
__global__ void __launch_bounds__(Threads) sample_tokens_kernel(SampleTokens<Real> args) {
  const std::int64_t k = blockIdx.x, V = args.V;
  if (args.wanted != nullptr && args.wanted[k] == 0) return;
  Row<Real> row{args.logits + k * V, args.excluded, V, 0, args.temperature};
  std::uint64_t top = 0;
  for (std::int64_t v = threadIdx.x; v < V; v += Threads) {
    const std::uint64_t rank = row.rank(v);
    top = rank > top ? rank : top;
  }
  top = block_max<Threads>(top);
  const std::uint64_t top_logit = top / static_cast<std::uint64_t>(V);
  if (top_logit <= kOrderedMinusInfinity || top_logit >= kOrderedInfinity) {
    if (threadIdx.x != 0) return;
    args.tokens[k] = 0;
    if (args.probability != nullptr) args.probability[k] = 0;
    if (args.confidence != nullptr) args.confidence[k] = 0;
    atomicMin(args.bad_row, static_cast<std::int32_t>(k));
    return;
  }
  const std::int64_t best = row.id(top);
  row.max = row.logits[best];
  double sum = 0, confidence = 0;  // at temperature 1
  if (args.probability != nullptr || args.confidence != nullptr) {
    sum = sum_ranks<Threads>(row, 1, top + 1, [&row](std::int64_t v) { return row.mass_at_1(v); });
  }
  if (args.confidence != nullptr) confidence = row_confidence<Threads>(args.kind, row, top, sum);
  std::int64_t drawn = threadIdx.x == 0 ? best : -1;
  if (args.temperature != 0) {
    const std::uint32_t draw = args.draw_at != nullptr ? *args.draw_at : args.draw;
    const std::uint32_t word = philox_word(args.seed, args.stream, draw, args.draw_rows[k], 0);
    drawn = draw_entry<Threads>(row, lowest_kept<Threads>(args, row, top), uniform(word));
  }
  if (drawn < 0) return;
  args.tokens[k] = static_cast<std::int32_t>(drawn);
  if (sum == 0) return;  // neither is asked for
  const double probability = row.mass_at_1(drawn) / sum;
  if (args.probability != nullptr) args.probability[k] = probability;
  if (args.confidence != nullptr) {
    args.confidence[k] = args.kind == Confidence::drawn ? probability : confidence;
  }
}

}  // namespace

template <class Real>
void sample_tokens(On<Cuda, Real> on, const SampleTokens<Real>& args) {
  if (args.bad_row == nullptr) throw Error("sampling: a GPU needs bad_row to tell a failure by");
  const auto go = [&](unsigned threads, auto kernel) {
    launch({"sample_tokens", static_cast<unsigned>(args.K), threads}, on.stream, kernel, args);
  };
  if (args.V <= kNarrowV) {
    go(kNarrowThreads, sample_tokens_kernel<Real, kNarrowThreads>);
  } else {
    go(kWideThreads, sample_tokens_kernel<Real, kWideThreads>);
  }
}

template void sample_tokens(On<Cuda, float>, const SampleTokens<float>&);
template void sample_tokens(On<Cuda, bf16>, const SampleTokens<bf16>&);

}  // namespace masque
