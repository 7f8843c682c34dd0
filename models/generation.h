// What the samplers of models/sampler.h and models/device_sampler.h share: refusals, the blocks of
// a sequence, arguments of a draw.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "core/index.h"
#include "kernels/philox.h"
#include "kernels/sampling.h"
#include "models/sampler.h"

namespace masque {

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// The refusals of sample_llada and sample_ar.
void check_llada_request(std::span<const std::int32_t> sequences, std::int64_t T,
                         const Predictor& predictor, std::span<const std::uint8_t> excluded,
                         const SampleOptions& options);
void check_ar_request(std::int64_t n, std::span<const std::int32_t> prompt, std::int64_t length,
                      std::int64_t vocab_size, std::span<const std::uint8_t> excluded,
                      const DrawOptions& options);

// A stretch of a sequence, written before the next begins.
struct Block {
  std::vector<std::int64_t> masked;        // positions masked at first, ascending, at least one
  std::int64_t first_step = 0, steps = 0;  // of the sequence's steps
};

// The blocks of a sequence in which something is masked, left to right: positions from k·length to
// below (k+1)·length; length 0: one block. Steps (0: as many as masks) go to blocks in proportion
// to their masks, at least one each. InputError where there are fewer steps than such blocks.
std::vector<Block> blocks_of(std::span<const std::int64_t> masked, std::int64_t length,
                             std::int64_t steps);

// Sequences (n,T) before the first step.
struct MaskedStart {
  std::vector<std::vector<Block>> blocks;  // (n) of each
  std::int64_t steps = 0;                  // of the longest

  MaskedStart(std::span<const std::int32_t> sequences, std::int64_t T,
              const SampleOptions& options);
};

// What the options say of a draw from K rows of V logits.
template <class Real>
SampleTokens<Real> draw_arguments(const DrawOptions& options, std::int64_t K, std::int64_t V) {
  SampleTokens<Real> args{};
  args.seed = options.seed;
  args.stream = stream_of(Purpose::sample);
  args.temperature = options.temperature;
  args.top_k = options.top_k;
  args.top_p = options.top_p;
  args.K = K;
  args.V = V;
  return args;
}

}  // namespace masque
