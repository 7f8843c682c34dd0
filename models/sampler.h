// Reverse process: text out of a predictor. One loop for every strategy of masked diffusion
// (models/strategy.h), and one for autoregressive models.
// Nie et al. 2025, arXiv:2502.09992, section 2.4; docs/sampling.md
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

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
  StrategyOptions of_strategy = {};
  std::int64_t block_length = 0;  // blocks left to right; 0: one
  double guidance = 0;            // w of (1 + w)·conditional − w·unconditional logits; 0: none
};

struct SampleResult {
  std::vector<std::int32_t> ids;  // (n,T)
  std::int64_t forwards = 0;      // calls of the predictor, each of a batch
  double seconds = 0;
  std::vector<std::int64_t> sequence_forwards;  // (n) of them, those that each took part in
};

// What a step left behind.
struct StepReport {
  std::span<const std::int32_t> sequences;  // (n,T) [MASK] where nothing is written
  // (n,T) of what the step wrote: each token's probability at temperature 1. NaN elsewhere.
  std::span<const double> probabilities;
};

// Sees each step.
using Watch = std::function<void(const StepReport& report)>;

// Masked diffusion: `sequences` (n,T) hold given tokens, and [MASK] where a token is wanted; given
// tokens never change. excluded (V): 1 for tokens that never occur, [MASK] among them. The same
// seed gives the same ids. Guidance: the unconditional logits are of the same state with the given
// tokens masked, a second forward. InputError for an unknown strategy or an option out of range.
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
// by `length` tokens. excluded (V): 1 for tokens that never occur. ids are (n, prompt + length).
// The decoder reads prompt + length − 1 tokens.
SampleResult sample_ar(Decoder& decoder, std::int64_t n, std::span<const std::int32_t> prompt,
                       std::int64_t length, std::int64_t vocab_size,
                       std::span<const std::uint8_t> excluded, const DrawOptions& options,
                       const Watch& watch = {});

}  // namespace masque
