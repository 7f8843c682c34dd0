// What tests of samplers share: canvases, shares, and the law of a decoder by enumeration.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "models/sampler.h"
#include "models/tokenizer.h"
#include "tests/support/toy_predictor.h"

namespace masque::test {

using Ids = std::vector<std::int32_t>;

inline constexpr std::int32_t kMask = Tokenizer::kMask;
inline constexpr std::int32_t kA = Tokenizer::kSpecials, kB = kA + 1, kC = kA + 2;
// Fixed seeds, so a share of 20000 within 4 standard errors (0.014 at most) is no gamble.
inline constexpr std::int64_t kMany = 20000;
inline constexpr double kMargin = 0.014;

inline Ids masks(std::int64_t count) {
  return Ids(static_cast<std::size_t>(count), kMask);
}

// The canvas n times.
inline Ids repeated(const Ids& canvas, std::int64_t n) {
  Ids ids;
  for (std::int64_t i = 0; i < n; ++i) ids.insert(ids.end(), canvas.begin(), canvas.end());
  return ids;
}

inline SampleOptions with(const std::string& strategy, std::int64_t steps, std::uint64_t seed = 1) {
  SampleOptions options;
  options.strategy = strategy;
  options.steps = steps;
  options.draw.seed = seed;
  return options;
}

// Share of the sequences of T that `accept` accepts.
template <class Accept>
double share(const Ids& ids, std::size_t T, Accept&& accept) {
  double accepted = 0;
  for (std::size_t first = 0; first < ids.size(); first += T) {
    accepted += accept(std::span(ids).subspan(first, T)) ? 1 : 0;
  }
  return accepted / static_cast<double>(ids.size() / T);
}

using Law = std::map<Ids, double>;  // probability of each sequence

// Pearson's statistic of drawn sequences of T against their law; ∞ for one that is impossible.
inline double chi_squared(const Ids& ids, std::size_t T, const Law& law) {
  std::map<Ids, double> counts;
  for (auto row = ids.begin(); row != ids.end(); row += static_cast<std::ptrdiff_t>(T)) {
    counts[Ids(row, row + static_cast<std::ptrdiff_t>(T))] += 1;
  }
  const double total = static_cast<double>(ids.size() / T);
  double statistic = 0;
  for (const auto& [sequence, probability] : law) {
    const double expected = probability * total;
    if (expected == 0) continue;
    statistic += (counts[sequence] - expected) * (counts[sequence] - expected) / expected;
  }
  for (const auto& [sequence, count] : counts) {
    if (count > 0 && (!law.contains(sequence) || law.at(sequence) == 0)) return INFINITY;
  }
  return statistic;
}

// A masked position in the enumeration: its distribution and the letter that was drawn.
struct Drawing {
  std::int64_t position = 0;
  std::vector<double> p;  // of the letters
  std::size_t letter = 0;
};

// Which of the drawings a step keeps: sets of their indices, each with its probability.
using Choice = std::vector<std::pair<double, std::vector<std::size_t>>>;
using Rule = std::function<Choice(std::int64_t step, const std::vector<Drawing>& drawings)>;

// The law of what a decoder writes on a canvas: every joint draw of each step, its choice by the
// rule. For few positions and letters.
inline Law law_of(Predictor& predictor, const Ids& canvas, std::int64_t steps, const Rule& rule) {
  const auto V = static_cast<std::size_t>(predictor.vocab_size());
  const std::size_t K = V - Tokenizer::kSpecials;
  Law now = {{canvas, 1.0}};
  for (std::int64_t step = 0; step < steps; ++step) {
    Law next;
    for (const auto& [state, probability] : now) {
      PredictorInput input{state, {}, 1, static_cast<std::int64_t>(state.size()), {}};
      std::vector<std::int64_t> rows;
      for (std::size_t i = 0; i < state.size(); ++i) {
        if (state[i] == kMask) rows.push_back(static_cast<std::int64_t>(i));
      }
      if (rows.empty()) {
        next[state] += probability;
        continue;
      }
      input.rows = rows;
      std::vector<double> logits(rows.size() * V);
      predictor.predict(input, logits);
      std::vector<Drawing> drawings;
      std::size_t joint = 1;
      for (std::size_t r = 0; r < rows.size(); ++r) {
        Drawing drawing{rows[r], {}, 0};
        double sum = 0;
        for (std::size_t k = 0; k < K; ++k) {
          drawing.p.push_back(std::exp(logits[r * V + Tokenizer::kSpecials + k]));
          sum += drawing.p.back();
        }
        for (double& p : drawing.p) p /= sum;
        drawings.push_back(drawing);
        joint *= K;
      }
      for (std::size_t code = 0; code < joint; ++code) {
        double weight = probability;
        std::size_t rest = code;
        for (Drawing& drawing : drawings) {
          drawing.letter = rest % K;
          rest /= K;
          weight *= drawing.p[drawing.letter];
        }
        if (weight == 0) continue;
        for (const auto& [chance, kept] : rule(step, drawings)) {
          Ids after = state;
          for (const std::size_t k : kept) {
            after[static_cast<std::size_t>(drawings[k].position)] =
                kA + static_cast<std::int32_t>(drawings[k].letter);
          }
          next[after] += weight * chance;
        }
      }
    }
    now = std::move(next);
  }
  return now;
}

// The chain's own law of sequences of T.
inline Law law_of(const MarkovChain& chain, std::size_t T) {
  Law law;
  const auto K = static_cast<std::size_t>(chain.letters());
  std::size_t count = 1;
  for (std::size_t i = 0; i < T; ++i) count *= K;
  for (std::size_t code = 0; code < count; ++code) {
    Ids ids;
    for (std::size_t i = 0, rest = code; i < T; ++i, rest /= K) {
      ids.push_back(kA + static_cast<std::int32_t>(rest % K));
    }
    law[ids] = std::exp(-chain.nats(ids));
  }
  return law;
}

}  // namespace masque::test
