// Device code that every kernel of attention shares: where a head's rows are, and which weights
// dropout keeps.
#pragma once

#include "kernels/attention.h"
#include "kernels/gpu.h"
#include "kernels/philox.h"

namespace masque {

// One head of one sequence, inside qkv (B,T,3,NH,HS) and out (B,T,NH,HS).
struct AttentionHead {
  int length;                        // rows that attend
  std::int64_t q, k, v, qkv_stride;  // offsets of the first rows, and from row to row
  std::int64_t out, out_stride;
  std::int64_t lse;
};

// task: b·NH + head.
template <class Args>
__device__ AttentionHead head_of(const Args& args, std::int64_t task) {
  const std::int64_t b = task / args.NH, width = args.NH * args.HS;
  const std::int64_t column = task % args.NH * args.HS;
  AttentionHead at;
  at.length = args.lengths != nullptr ? args.lengths[b] : static_cast<int>(args.T);
  at.q = b * args.T * 3 * width + column;
  at.k = at.q + width;
  at.v = at.k + width;
  at.qkv_stride = 3 * width;
  at.out = b * args.T * width + column;
  at.out_stride = width;
  at.lse = task * args.T;
  return at;
}

constexpr int kKeepKeys = 16;  // weights that one call of AttentionDropout::keep decides on

// The draws of one head.
struct AttentionDropout {
  std::uint64_t seed, first;  // first: the index of weight (0, 0)
  std::uint32_t stream, step, row, below;
  std::uint64_t T;

  // Bit n: whether weight (i, j + n) is kept, for n < kKeepKeys.
  __device__ std::uint16_t keep(int i, int j) const {
    const std::uint64_t index =
        first + static_cast<std::uint64_t>(i) * T + static_cast<unsigned>(j);
    const auto counter = static_cast<std::uint32_t>(index / 4);
    const unsigned skipped = index % 4;  // draws of the first counter that are before j
    unsigned bits = 0;
    for (unsigned n = 0; 4 * n < kKeepKeys + skipped; ++n) {
      const auto words = philox(seed, {counter + n, row, step, stream});
      for (unsigned word = 0; word < 4; ++word) {
        bits |= (words[word] >= below ? 1u : 0u) << (4 * n + word);
      }
    }
    return static_cast<std::uint16_t>(bits >> skipped);
  }
};

template <class Args>
__device__ AttentionDropout dropout_of(const Args& args, std::int64_t task) {
  const auto b = static_cast<std::uint32_t>(task / args.NH);
  const auto head = static_cast<std::uint64_t>(task % args.NH),
             T = static_cast<std::uint64_t>(args.T);
  return {args.state->seed,
          head * T * T,
          args.stream,
          args.state->step,
          args.state->first_row + b,
          static_cast<std::uint32_t>(threshold(args.p)),
          T};
}

}  // namespace masque
