#include "models/likelihood.h"

#include <algorithm>
#include <functional>

#include "core/check.h"
#include "core/index.h"
#include "models/likelihood_parts.h"
#include "models/scorer.h"
#include "models/tokenizer.h"

namespace masque {
namespace {}  // namespace

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
  const std::int64_t length = check_windows(predictor, tokens, windows, excluded, options.batch);
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
  Curves curves(windows);
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
      const Window& window = windows[at(w)];
      double nats = 0;
      for (std::int64_t i = window.scored_from; i < length; ++i, ++question) {
        nats += scorer.nll(question);
        if (curves.take(window)) curves.add_position(i - window.scored_from, scorer.nll(question));
        correct += scorer.correct(question) ? 1 : 0;
      }
      result.window_nats.push_back(nats);
    }
    if (options.progress) options.progress(end, total);
  }
  finish(result, windows, options.seed);
  curves.write(result, 1);
  result.accuracy = static_cast<double>(correct) / static_cast<double>(result.tokens);
  return result;
}

Interval paired_difference(std::span<const double> a, std::span<const double> b,
                           std::span<const std::int64_t> tokens, std::uint64_t seed) {
  CHECK(a.size() == b.size(), "paired_difference: {} windows and {}", a.size(), b.size());
  std::vector<double> differences(a.size());
  std::transform(a.begin(), a.end(), b.begin(), differences.begin(), std::minus<>());
  return moving_block_bootstrap(differences, tokens, seed);
}

Interval paired_difference(const Likelihood& a, const Likelihood& b, std::uint64_t seed) {
  CHECK(a.window_tokens == b.window_tokens,
        "paired_difference: the likelihoods are of other windows ({} and {}, {} and {} tokens)",
        a.window_tokens.size(), b.window_tokens.size(), a.tokens, b.tokens);
  return paired_difference(a.window_nats, b.window_nats, a.window_tokens, seed);
}

}  // namespace masque
