// Valid likelihoods on fixed windows: `exact` for AR, `nelbo` for LLaDA, with two intervals each.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "models/dataset.h"
#include "models/predictor.h"

namespace masque {

struct LikelihoodOptions {
  std::int64_t draws = 32;  // of nelbo, a window, in two independent stratified sets or more
  std::int64_t batch = 32;  // sequences a forward
  std::uint64_t seed = 1;
  bool start_token =
      true;  // exact: [START] before each window; false: its first token is context only
  std::function<void(std::int64_t done, std::int64_t total)> progress;  // in windows; may be empty
};

struct Interval {
  double lo = 0, hi = 0;
};

struct Likelihood {
  double nats_per_token = 0;  // Σ nats / Σ scored tokens
  Interval ci95;              // the estimator's own error on this text; zero width where exact
  Interval ci95_text;         // another text of the kind: moving-block bootstrap over windows
  double accuracy = 0;        // exact: of the next token; nelbo: of masked tokens over its draws
  std::int64_t tokens = 0;
  std::vector<double> window_nats;          // (W) each window's total
  std::vector<std::int64_t> window_tokens;  // (W) scored
};

// Σ −log p(x_i | x_<i) over each window's scored tokens.
Likelihood exact_likelihood(Predictor& predictor, std::span<const std::int32_t> tokens,
                            const std::vector<Window>& windows,
                            std::span<const std::uint8_t> excluded,
                            const LikelihoodOptions& options);

// E_{l ~ U{1..n}} [(n/l) Σ_{i in a uniform subset of size l} −log p(x_i | rest)], n scored tokens.
Likelihood nelbo_likelihood(Predictor& predictor, std::span<const std::int32_t> tokens,
                            const std::vector<Window>& windows,
                            std::span<const std::uint8_t> excluded,
                            const LikelihoodOptions& options);

// Paired moving-block bootstrap of (a − b) nats a token over the same windows.
Interval paired_difference(const Likelihood& a, const Likelihood& b, std::uint64_t seed);

// Baselines on the same windows: unigram, and bigram whose first token of a window is scored by the
// unigram; counts of `train` plus one half a vocabulary entry that is not excluded.
double unigram_nats(std::span<const std::int32_t> train, std::span<const std::int32_t> tokens,
                    const std::vector<Window>& windows, std::span<const std::uint8_t> excluded);
double bigram_nats(std::span<const std::int32_t> train, std::span<const std::int32_t> tokens,
                   const std::vector<Window>& windows, std::span<const std::uint8_t> excluded);

}  // namespace masque
