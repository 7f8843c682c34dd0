// Valid likelihoods on fixed windows: `exact` for AR, `nelbo` for LLaDA, with two intervals each
// (of LLaDA's exact ones see models/chain.h). All score the same tokens; logits of excluded tokens
// are −∞; log-softmax and sums are in f64.
// Nie et al. 2025, arXiv:2502.09992, eq. 6 (the estimator of nelbo with an exact count of masks)
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "models/config.h"
#include "models/dataset.h"
#include "models/intervals.h"
#include "models/predictor.h"

namespace masque {

struct LikelihoodOptions {
  std::int64_t draws = 32;  // of nelbo, a window: two independent stratified sets, so even
  std::int64_t batch = 32;  // sequences a forward; no number depends on it
  std::uint64_t seed = 1;
  bool start_token = true;  // exact: [START] before each window; false: windows of
                            // cover_with_context, whose first token is context only
  std::function<void(std::int64_t done, std::int64_t total)> progress;  // in windows; may be empty
};

// Mean nll of a masked token where lo to hi tokens of a window are masked.
struct MaskedBin {
  std::int64_t lo = 0, hi = 0;  // both included
  std::int64_t draws = 0;       // masked copies that it is the mean of
  double nats = 0;              // of their means a masked token; NaN without draws
};

struct Likelihood {
  double nats_per_token = 0;  // Σ nats / Σ scored tokens
  Interval ci95;              // the estimator's own error on this text; zero width where exact
  Interval ci95_text;         // another text of the kind: moving-block bootstrap over windows (its
                              // spread holds the estimator's error too); NaN for one window
  double accuracy = 0;        // exact: of the next token; nelbo: of masked tokens over its draws;
                              // chain: of the token decoded next; mixture: NaN
  std::int64_t tokens = 0;
  std::vector<double> window_nats;  // (W) each window's total, or an unbiased estimate of it
  std::vector<std::int64_t> window_tokens;  // (W) scored
  // Curves, of the windows that score the most tokens, n (all but an overlapping last one).
  // By tokens masked (nelbo) or unknown (chain), 16 bins of 1 … n, less where n is less; the mean
  // over the counts 1 … n is nats_per_token, of nelbo without its control. Empty for others.
  std::vector<MaskedBin> by_masked;
  std::vector<double> by_position;  // (n) by scored token, mean over windows; sums to their mean
                                    // window_nats. Empty for mixture
};

// Windows for an AR model without [START]: each holds length + 1 tokens, begins `length` after the
// one before (they share one token), and its first token is context only. So every token but the
// first of the split is scored once. InputError where count < length + 1.
std::vector<Window> cover_with_context(std::int64_t count, std::int64_t length);

// The windows of a text of `count` tokens that likelihoods of a run score. InputError where it is
// too short for one.
inline std::vector<Window> windows_for(const RunConfig& config, std::int64_t count) {
  const bool context_first =
      config.model.objective == ObjectiveKind::ar && !config.training.start_token;
  return context_first ? cover_with_context(count, config.model.context)
                       : cover(count, config.model.context);
}

// Σ −log p(x_i | x_<i) over each window's scored tokens. Windows are all of one length.
Likelihood exact_likelihood(Predictor& predictor, std::span<const std::int32_t> tokens,
                            const std::vector<Window>& windows,
                            std::span<const std::uint8_t> excluded,
                            const LikelihoodOptions& options);

// E_{l ~ U{1..n}} [(n/l) Σ_{i in a uniform subset of size l} −log p(x_i | rest)], n scored tokens;
// tokens before scored_from are always visible. Unbiased for each window, with a control variate
// (models/nelbo.cpp). A window's draws depend on the seed, its begin and `draws` alone: neither on
// the other windows nor on the batch. InputError where draws is odd or below 2.
Likelihood nelbo_likelihood(Predictor& predictor, std::span<const std::int32_t> tokens,
                            const std::vector<Window>& windows,
                            std::span<const std::uint8_t> excluded,
                            const LikelihoodOptions& options);

// Paired moving-block bootstrap of (a − b) nats a token over the same windows; tokens: (W).
Interval paired_difference(std::span<const double> a, std::span<const double> b,
                           std::span<const std::int64_t> tokens, std::uint64_t seed);
Interval paired_difference(const Likelihood& a, const Likelihood& b, std::uint64_t seed);

}  // namespace masque
