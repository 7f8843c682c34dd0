// Reverse process: text out of a predictor. One loop for every strategy of masked diffusion
// (models/strategy.h), and one for autoregressive models.
// Nie et al. 2025, arXiv:2502.09992, section 2.4
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "kernels/philox.h"
#include "kernels/sampling.h"
#include "models/predictor.h"
#include "models/strategy.h"

namespace masque {

// How a token is drawn from logits.
struct DrawOptions {
  double temperature = 1;  // 0: the most probable
  std::int64_t top_k = 0;  // 0: all
  double top_p = 1;        // 1: all
  std::uint64_t seed = 1;
};

struct SampleOptions {
  std::string strategy = "low_confidence";  // of strategy_names()
  std::int64_t steps = 0;                   // 0: as many as masks, one token a step
  DrawOptions draw;
};

struct SampleResult {
  std::vector<std::int32_t> ids;  // (n,T)
  std::int64_t forwards = 0;      // calls of the predictor (of a whole batch)
  double seconds = 0;
};

// Sees the sequences (n,T) after each step, [MASK] where nothing is written yet.
using Watch = std::function<void(std::span<const std::int32_t> sequences)>;

// Masked diffusion: `sequences` (n,T) hold given tokens, and [MASK] where a token is wanted; given
// tokens never change. The same seed gives the same ids. InputError for an unknown strategy or an
// option out of range.
SampleResult sample_llada(Predictor& predictor, std::vector<std::int32_t> sequences, std::int64_t T,
                          std::span<const std::uint8_t> excluded, const SampleOptions& options,
                          const Watch& watch = {});

// An autoregressive model that remembers what it has read: a Network with its key-value cache.
class Decoder {
 public:
  virtual ~Decoder() = default;
  // Appends ids (B,n) to every row and returns logits (B,V) after the last.
  virtual std::span<const double> append(std::span<const std::int32_t> ids, std::int64_t n) = 0;
};

// Continues `prompt` (each of n rows the same; at least one token, [START] where the model has it)
// by `length` tokens. ids are (n, prompt + length). The decoder reads prompt + length − 1 tokens.
SampleResult sample_ar(Decoder& decoder, std::int64_t n, std::span<const std::int32_t> prompt,
                       std::int64_t length, std::int64_t vocab_size,
                       std::span<const std::uint8_t> excluded, const DrawOptions& options,
                       const Watch& watch = {});

// What models/device_sampler.h shares.

// The refusals of sample_llada and sample_ar.
void check_llada_request(std::span<const std::int32_t> sequences, std::int64_t T,
                         const Predictor& predictor, std::span<const std::uint8_t> excluded,
                         const SampleOptions& options);
void check_ar_request(std::int64_t n, std::span<const std::int32_t> prompt, std::int64_t length,
                      std::int64_t vocab_size, std::span<const std::uint8_t> excluded,
                      const DrawOptions& options);

// Sequences (n,T) before the first step.
struct MaskedStart {
  std::vector<std::vector<std::int64_t>> masked;  // (n) masked positions of each, ascending
  std::int64_t steps = 0;

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
