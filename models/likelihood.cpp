#include "models/likelihood.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numeric>

#include "core/check.h"
#include "kernels/philox.h"
#include "models/scorer.h"
#include "models/tokenizer.h"

namespace masque {
namespace {

constexpr std::int64_t kSets = 2;  // independent stratified sets of draws a window

std::size_t at(std::int64_t index) {
  return static_cast<std::size_t>(index);
}

// The rules that every estimator's arguments obey. Returns the windows' one length.
std::int64_t check_arguments(const Predictor& predictor, std::span<const std::int32_t> tokens,
                             const std::vector<Window>& windows,
                             std::span<const std::uint8_t> excluded, std::int64_t batch) {
  CHECK(!windows.empty(), "likelihood: no windows to score");
  CHECK(batch >= 1, "likelihood: batch {} must be at least 1", batch);
  CHECK(static_cast<std::int64_t>(excluded.size()) == predictor.vocab_size(),
        "likelihood: {} exclusions for a vocabulary of {}", excluded.size(),
        predictor.vocab_size());
  const std::int64_t length = windows.front().length;
  for (const Window& window : windows) {
    CHECK(window.length == length, "likelihood: windows of {} and {} tokens; one length is needed",
          length, window.length);
    CHECK(window.scored_from >= 0 && window.scored_from < length,
          "likelihood: window at {} scores from {} of its {} tokens", window.begin,
          window.scored_from, length);
    CHECK(window.begin >= 0 && window.begin + length <= static_cast<std::int64_t>(tokens.size()),
          "likelihood: window [{}, {}) leaves the {} tokens", window.begin, window.begin + length,
          tokens.size());
    for (std::int64_t i = window.scored_from; i < length; ++i) {
      const std::int32_t token = tokens[at(window.begin + i)];
      CHECK(token >= 0 && token < predictor.vocab_size() && excluded[at(token)] == 0,
            "likelihood: token {} at {} is one that the model never predicts", token,
            window.begin + i);
    }
  }
  return length;
}

// Totals, and the interval over texts, from window_nats.
void finish(Likelihood& result, const std::vector<Window>& windows, std::uint64_t seed) {
  for (const Window& window : windows) {
    result.window_tokens.push_back(window.length - window.scored_from);
  }
  result.tokens =
      std::accumulate(result.window_tokens.begin(), result.window_tokens.end(), std::int64_t{0});
  const double nats = std::accumulate(result.window_nats.begin(), result.window_nats.end(), 0.0);
  result.nats_per_token = nats / static_cast<double>(result.tokens);
  result.ci95 = {result.nats_per_token, result.nats_per_token};
  result.ci95_text = moving_block_bootstrap(result.window_nats, result.window_tokens, seed);
}

// How many of a window's n scored tokens draw `draw` of `draws` masks. Each set holds one draw of
// each of `draws / kSets` equal strata of (0, 1), jittered within it: over a set, uniform on 1 … n.
std::int64_t mask_count(std::int64_t n, std::int64_t draw, std::int64_t draws, double jitter) {
  const std::int64_t strata = draws / kSets;
  const double u = (static_cast<double>(draw % strata) + jitter) / static_cast<double>(strata);
  return std::min(n, 1 + static_cast<std::int64_t>(u * static_cast<double>(n)));
}

// A uniform subset of size l of [first, first + n), ascending: the head of a Fisher-Yates shuffle.
std::vector<std::int64_t> draw_subset(std::int64_t first, std::int64_t n, std::int64_t l,
                                      std::uint64_t seed, std::uint32_t row, std::uint32_t draw) {
  std::vector<std::int64_t> positions(at(n));
  std::iota(positions.begin(), positions.end(), first);
  for (std::int64_t k = 0; k < l; ++k) {
    const std::uint64_t word = philox_word(seed, stream_of(Purpose::likelihood, 1), draw, row,
                                           static_cast<std::uint64_t>(k));
    const auto offset = static_cast<std::int64_t>(word * static_cast<std::uint64_t>(n - k) >> 32);
    std::swap(positions[at(k)], positions[at(k + offset)]);
  }
  positions.resize(at(l));
  std::sort(positions.begin(), positions.end());
  return positions;
}

// The window's nats, and the variance of that estimate, from its draws' (draws) values.
struct Estimate {
  double nats = 0, variance = 0;
};
Estimate combine_sets(std::span<const double> values) {
  const std::size_t strata = values.size() / kSets;
  std::array<double, kSets> means{};
  for (std::size_t set = 0; set < kSets; ++set) {
    const auto draws = values.subspan(set * strata, strata);
    means[set] = std::accumulate(draws.begin(), draws.end(), 0.0) / static_cast<double>(strata);
  }
  const double nats = std::accumulate(means.begin(), means.end(), 0.0) / kSets;
  double between = 0;
  for (const double mean : means) between += (mean - nats) * (mean - nats) / (kSets - 1);
  return {nats, between / kSets};
}

}  // namespace

std::vector<Window> cover_with_context(std::int64_t count, std::int64_t length) {
  if (count < length + 1) {
    throw InputError(fmt::format(
        "the text has {} tokens, and a window takes {}: give a longer text or a shorter context",
        count, length + 1));
  }
  std::vector<Window> windows = cover(count - 1, length);
  for (Window& window : windows) {
    ++window.length;
    ++window.scored_from;
  }
  return windows;
}

Likelihood exact_likelihood(Predictor& predictor, std::span<const std::int32_t> tokens,
                            const std::vector<Window>& windows,
                            std::span<const std::uint8_t> excluded,
                            const LikelihoodOptions& options) {
  const std::int64_t length = check_arguments(predictor, tokens, windows, excluded, options.batch);
  // The token that the model reads at position 0, from the window's begin, is [START] or its first.
  const std::int64_t context_only = options.start_token ? 0 : 1;
  for (const Window& window : windows) {
    CHECK(window.scored_from >= context_only,
          "exact: the window at {} scores its first token, for which there is no [START]",
          window.begin);
  }
  const auto total = static_cast<std::int64_t>(windows.size());
  Scorer scorer(predictor, excluded, length - context_only);
  Likelihood result;
  std::int64_t correct = 0;
  for (std::int64_t done = 0; done < total; done += options.batch) {
    const std::int64_t end = std::min(total, done + options.batch);
    for (std::int64_t w = done; w < end; ++w) {
      const Window& window = windows[at(w)];
      const auto text = tokens.subspan(at(window.begin), at(length));
      const std::span<std::int32_t> ids = scorer.add_sequence();
      if (options.start_token) ids.front() = Tokenizer::kStart;
      std::copy(text.begin(), text.end() - 1, ids.begin() + (options.start_token ? 1 : 0));
      for (std::int64_t i = window.scored_from; i < length; ++i) {
        scorer.ask(i - context_only, text[at(i)]);
      }
    }
    scorer.run();
    std::size_t question = 0;
    for (std::int64_t w = done; w < end; ++w) {
      double nats = 0;
      for (std::int64_t i = windows[at(w)].scored_from; i < length; ++i, ++question) {
        nats += scorer.nll(question);
        correct += scorer.correct(question) ? 1 : 0;
      }
      result.window_nats.push_back(nats);
    }
    if (options.progress) options.progress(end, total);
  }
  finish(result, windows, options.seed);
  result.accuracy = static_cast<double>(correct) / static_cast<double>(result.tokens);
  return result;
}

Likelihood nelbo_likelihood(Predictor& predictor, std::span<const std::int32_t> tokens,
                            const std::vector<Window>& windows,
                            std::span<const std::uint8_t> excluded,
                            const LikelihoodOptions& options) {
  const std::int64_t length = check_arguments(predictor, tokens, windows, excluded, options.batch);
  const std::int64_t draws = options.draws;
  if (draws < kSets || draws % kSets != 0) {
    throw InputError(fmt::format(
        "draws is {}: give an even number, at least 2 (two independent sets tell the error)",
        draws));
  }
  const auto total = static_cast<std::int64_t>(windows.size());
  Scorer scorer(predictor, excluded, length);
  std::vector<double> values(at(total * draws));  // (W,draws) an unbiased estimate of its nats each
  std::vector<std::int64_t> counts;               // masks of each sequence of the batch
  std::int64_t correct = 0, masked = 0;
  for (std::int64_t first = 0; first < total * draws; first += options.batch) {
    const std::int64_t end = std::min(total * draws, first + options.batch);
    counts.clear();
    for (std::int64_t k = first; k < end; ++k) {
      const Window& window = windows[at(k / draws)];
      const auto row = static_cast<std::uint32_t>(window.begin);
      const auto draw = static_cast<std::uint32_t>(k % draws);
      const std::int64_t n = length - window.scored_from;
      const std::int64_t l = mask_count(
          n, draw, draws,
          uniform(philox_word(options.seed, stream_of(Purpose::likelihood), draw, row, 0)));
      const auto text = tokens.subspan(at(window.begin), at(length));
      const std::span<std::int32_t> ids = scorer.add_sequence();
      std::copy(text.begin(), text.end(), ids.begin());
      for (const std::int64_t i : draw_subset(window.scored_from, n, l, options.seed, row, draw)) {
        ids[at(i)] = Tokenizer::kMask;
        scorer.ask(i, text[at(i)]);
      }
      counts.push_back(l);
    }
    scorer.run();
    std::size_t question = 0;
    for (std::int64_t k = first; k < end; ++k) {
      const Window& window = windows[at(k / draws)];
      const std::int64_t l = counts[at(k - first)];
      double nats = 0;
      for (std::int64_t i = 0; i < l; ++i, ++question) {
        nats += scorer.nll(question);
        correct += scorer.correct(question) ? 1 : 0;
      }
      masked += l;
      values[at(k)] =
          nats * static_cast<double>(length - window.scored_from) / static_cast<double>(l);
    }
    if (options.progress) options.progress(end / draws, total);
  }

  Likelihood result;
  double variance = 0;
  for (std::int64_t w = 0; w < total; ++w) {
    const Estimate estimate = combine_sets(std::span(values).subspan(at(w * draws), at(draws)));
    result.window_nats.push_back(estimate.nats);
    variance += estimate.variance;
  }
  finish(result, windows, options.seed);
  const double half =
      student_t(total * (kSets - 1)) * std::sqrt(variance) / static_cast<double>(result.tokens);
  result.ci95 = {result.nats_per_token - half, result.nats_per_token + half};
  result.accuracy = static_cast<double>(correct) / static_cast<double>(masked);
  return result;
}

Interval paired_difference(const Likelihood& a, const Likelihood& b, std::uint64_t seed) {
  CHECK(a.window_tokens == b.window_tokens,
        "paired_difference: the likelihoods are of other windows ({} and {}, {} and {} tokens)",
        a.window_tokens.size(), b.window_tokens.size(), a.tokens, b.tokens);
  std::vector<double> differences(a.window_nats.size());
  std::transform(a.window_nats.begin(), a.window_nats.end(), b.window_nats.begin(),
                 differences.begin(), std::minus<>());
  return moving_block_bootstrap(differences, a.window_tokens, seed);
}

}  // namespace masque
