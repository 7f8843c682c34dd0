#include <bit>

#include "kernels/gpu.h"
#include "kernels/grid_reduce.cuh"
#include "kernels/reveal_tokens.h"

namespace masque {
namespace {

constexpr int kNarrowThreads = 32, kWideThreads = 512;  // a sequence
constexpr std::int64_t kNarrowT = 256;
constexpr int kPositionThreads = 256;

__global__ void __launch_bounds__(kPositionThreads) wanted_positions_kernel(WantedPositions args) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kPositionThreads + threadIdx.x;
  if (i >= args.n * args.T) return;
  const bool due = args.due == nullptr || args.due[i] == *args.step;
  const bool its_turn = due && (args.from == nullptr || args.from[i] <= *args.step);
  args.wanted[i] = args.ids[i] == args.mask_token && its_turn ? 1 : 0;
}

// Integers in the order of the numbers, never 0; −0 is 0.
__device__ std::uint64_t ordered(double value) {
  const auto bits = std::bit_cast<std::uint64_t>(value + 0.0);
  return bits >> 63 != 0 ? ~bits : bits | std::uint64_t{1} << 63;
}

// Where the largest keys end.
struct Cut {
  std::uint64_t key;  // at least as many as asked are no less
  int from, above;    // so many are no less; where that is too many, so many are greater
};

// The cut after `count` of T keys, counted from the largest. All that count are from `low`, `from`
// of them, to below `high`. Bisects until the number is right or one key is in question.
template <int Threads, class KeyOf>
__device__ Cut find_cut(std::int64_t T, int count, std::uint64_t low, std::uint64_t high, int from,
                        KeyOf key_of) {
  int above = 0;
  while (from > count && high - low > 1) {
    const std::uint64_t middle = low + (high - low) / 2;
    int found = 0;
    for (std::int64_t t = threadIdx.x; t < T; t += Threads) found += key_of(t) >= middle ? 1 : 0;
    found = block_sum<Threads>(found);
    if (found >= count) {
      low = middle;
      from = found;
    } else {
      high = middle;
      above = found;
    }
  }
  return {low, from, above};
}

// A block a sequence.
template <int Threads>
__global__ void __launch_bounds__(Threads) reveal_tokens_kernel(RevealTokens args) {
  const std::int64_t T = args.T, first = blockIdx.x * T;
  const auto key_of = [&](std::int64_t t) -> std::uint64_t {
    if (args.wanted[first + t] == 0) return 0;
    return args.confidence == nullptr ? 1 : ordered(args.confidence[first + t]);
  };
  Cut cut{1, 0, 0}, tie{1, 0, 0};
  if (args.confidence != nullptr) {
    std::uint64_t largest = 0, least = 0;  // least: its complement
    int wanted = 0;
    for (std::int64_t t = threadIdx.x; t < T; t += Threads) {
      const std::uint64_t key = key_of(t);
      if (key == 0) continue;
      ++wanted;
      largest = key > largest ? key : largest;
      least = ~key > least ? ~key : least;
    }
    wanted = block_sum<Threads>(wanted);
    largest = block_max<Threads>(largest);
    least = ~block_max<Threads>(least);
    const auto count = static_cast<int>(args.counts[blockIdx.x]);
    if (count == 0 || wanted == 0) return;
    cut = find_cut<Threads>(T, count, least, largest + 1, wanted, key_of);
    if (cut.from > count) {  // equals at the cut: of them the first
      tie = find_cut<Threads>(T, count - cut.above, 1, static_cast<std::uint64_t>(T) + 1,
                              cut.from - cut.above, [&](std::int64_t t) {
                                return key_of(t) == cut.key ? static_cast<std::uint64_t>(T - t) : 0;
                              });
    }
  }
  for (std::int64_t t = threadIdx.x; t < T; t += Threads) {
    const std::uint64_t key = key_of(t);
    const bool before_cut =
        key > cut.key || (key == cut.key && T - t >= static_cast<std::int64_t>(tie.key));
    if (before_cut) args.ids[first + t] = args.tokens[first + t];
  }
}

}  // namespace

template <class Real>
void wanted_positions(On<Cuda, Real> on, const WantedPositions& args) {
  launch({"wanted_positions", blocks_for(args.n * args.T, kPositionThreads), kPositionThreads},
         on.stream, wanted_positions_kernel, args);
}

template <class Real>
void reveal_tokens(On<Cuda, Real> on, const RevealTokens& args) {
  const auto sequences = static_cast<unsigned>(args.n);
  if (args.T <= kNarrowT) {
    launch({"reveal_tokens", sequences, kNarrowThreads}, on.stream,
           reveal_tokens_kernel<kNarrowThreads>, args);
  } else {
    launch({"reveal_tokens", sequences, kWideThreads}, on.stream,
           reveal_tokens_kernel<kWideThreads>, args);
  }
}

template void wanted_positions(On<Cuda, float>, const WantedPositions&);
template void wanted_positions(On<Cuda, bf16>, const WantedPositions&);
template void reveal_tokens(On<Cuda, float>, const RevealTokens&);
template void reveal_tokens(On<Cuda, bf16>, const RevealTokens&);

}  // namespace masque
