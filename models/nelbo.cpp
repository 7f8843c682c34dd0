// nelbo: an upper bound on −log p of each window, from masked copies of it.
// Nie et al. 2025, arXiv:2502.09992, eq. 6. The control variate: Nelson 1990, "Control variate
// remedies"; cross-fitting: Chernozhukov et al. 2018, arXiv:1608.00060
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "core/check.h"
#include "core/index.h"
#include "kernels/philox.h"
#include "models/likelihood_parts.h"
#include "models/scorer.h"
#include "models/tokenizer.h"

namespace masque {
namespace {

constexpr std::int64_t kSets = 2;  // independent stratified sets of draws a window

// A masked copy of a window: which of its scored tokens are masked, and what each costs.
struct Draw {
  std::vector<std::int64_t> masked;  // (l) ascending, 0 … n − 1
  std::vector<double> nll;           // (l)

  double mean() const {
    return std::accumulate(nll.begin(), nll.end(), 0.0) / static_cast<double>(nll.size());
  }
};

// How many of a window's n scored tokens draw `draw` of `draws` masks. Each set holds one draw of
// each of `draws / kSets` equal strata of (0, 1), jittered within it: over a set, uniform on 1 … n.
std::int64_t mask_count(std::int64_t n, std::int64_t draw, std::int64_t draws, double jitter) {
  const std::int64_t strata = draws / kSets;
  const double u = (static_cast<double>(draw % strata) + jitter) / static_cast<double>(strata);
  return std::min(n, 1 + static_cast<std::int64_t>(u * static_cast<double>(n)));
}

// β, the control's coefficient at l of n masked. Fixed beforehand, so no draw can bias it: the
// regression of masked tokens' nll on the control, over 48 windows of a `tiny` LLaDA run on
// TinyShakespeare, 32 subsets of each size, falls about so, for any number of draws.
double control_weight(std::int64_t l, std::int64_t n) {
  return 1.2 - 0.5 * static_cast<double>(l) / static_cast<double>(n);
}

// What a set of draws says that each token costs, (n), to be the other set's control: its mean nll
// where it was masked, with one more observation of the set's mean, less the mean over tokens. A
// sum of 0 makes Σ_i b_i of the expectation vanish, and with it the noise of l (the uncentred
// control doubles the variance of two draws; this one lowers it).
std::vector<double> control_of(std::span<const Draw> set, std::int64_t n) {
  std::vector<double> sums(at(n)), counts(at(n), 1.0);
  double total = 0, count = 0;
  for (const Draw& draw : set) {
    for (std::size_t k = 0; k < draw.masked.size(); ++k) {
      sums[at(draw.masked[k])] += draw.nll[k];
      ++counts[at(draw.masked[k])];
      total += draw.nll[k];
      ++count;
    }
  }
  double mean = 0;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    sums[i] = (sums[i] + total / count) / counts[i];
    mean += sums[i] / static_cast<double>(n);
  }
  for (double& value : sums) value -= mean;
  return sums;
}

// The window's nats, each scored token's share of them (n), and the variance of that estimate.
struct Estimate {
  double nats = 0, variance = 0;
  std::vector<double> tokens;
};
// Each set's mean of (n/l) Σ_masked (nll_i − β_l b_i), b of the other set. As b is independent of
// the set that it is subtracted from, and sums to 0, its expectation is that of (n/l) Σ nll_i.
Estimate combine_sets(std::span<const Draw> draws, std::int64_t n) {
  const std::size_t strata = draws.size() / kSets;
  const auto set = [&](std::size_t number) { return draws.subspan(number * strata, strata); };
  Estimate estimate;
  estimate.tokens.resize(at(n));
  std::array<double, kSets> means{};
  for (std::size_t number = 0; number < kSets; ++number) {
    const std::vector<double> control = control_of(set(1 - number), n);
    for (const Draw& draw : set(number)) {
      const auto l = static_cast<std::int64_t>(draw.masked.size());
      const double beta = control_weight(l, n);
      const double weight = static_cast<double>(n) / static_cast<double>(l * std::ssize(draws));
      for (std::size_t k = 0; k < draw.masked.size(); ++k) {
        const std::size_t i = at(draw.masked[k]);
        const double nats = weight * (draw.nll[k] - beta * control[i]);
        estimate.tokens[i] += nats;
        means[number] += kSets * nats;
      }
      for (std::size_t i = 0; i < control.size(); ++i) {
        estimate.tokens[i] += beta * control[i] / static_cast<double>(draws.size());
      }
    }
  }
  estimate.nats = std::accumulate(means.begin(), means.end(), 0.0) / kSets;
  double between = 0;
  for (const double mean : means) {
    between += (mean - estimate.nats) * (mean - estimate.nats) / (kSets - 1);
  }
  estimate.variance = between / kSets;
  return estimate;
}

}  // namespace

Likelihood nelbo_likelihood(Predictor& predictor, std::span<const std::int32_t> tokens,
                            const std::vector<Window>& windows,
                            std::span<const std::uint8_t> excluded,
                            const LikelihoodOptions& options) {
  const std::int64_t length = check_windows(predictor, tokens, windows, excluded, options.batch);
  const std::int64_t draws = options.draws;
  if (draws < kSets || draws % kSets != 0) {
    throw InputError(fmt::format(
        "draws is {}: give an even number, at least 2 (two independent sets tell the error)",
        draws));
  }
  const auto total = static_cast<std::int64_t>(windows.size());
  Scorer scorer(predictor, excluded, length);
  Likelihood result;
  Curves curves(windows);
  std::vector<Draw> drawn;  // (draws) of one window, as far as they are there
  std::vector<Draw> batch;
  std::int64_t correct = 0, masked = 0;
  double variance = 0;
  for (std::int64_t first = 0; first < total * draws; first += options.batch) {
    const std::int64_t end = std::min(total * draws, first + options.batch);
    batch.clear();
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
      Draw& copy = batch.emplace_back();
      copy.masked =
          random_order(0, n, l, options.seed, stream_of(Purpose::likelihood, 1), draw, row);
      std::sort(copy.masked.begin(), copy.masked.end());
      for (const std::int64_t k_masked : copy.masked) {
        const std::int64_t i = window.scored_from + k_masked;
        ids[at(i)] = Tokenizer::kMask;
        scorer.ask(i, text[at(i)]);
      }
    }
    scorer.run();
    std::size_t question = 0;
    for (std::int64_t k = first; k < end; ++k) {
      const Window& window = windows[at(k / draws)];
      Draw& copy = batch[at(k - first)];
      for (std::size_t j = 0; j < copy.masked.size(); ++j, ++question) {
        copy.nll.push_back(scorer.nll(question));
        correct += scorer.correct(question) ? 1 : 0;
      }
      masked += std::ssize(copy.masked);
      if (curves.take(window)) curves.add_masked(std::ssize(copy.masked), copy.mean());
      drawn.push_back(std::move(copy));
      if (std::ssize(drawn) < draws) continue;
      const Estimate estimate = combine_sets(drawn, length - window.scored_from);
      drawn.clear();
      result.window_nats.push_back(estimate.nats);
      variance += estimate.variance;
      for (std::int64_t i = 0; curves.take(window) && i < std::ssize(estimate.tokens); ++i) {
        curves.add_position(i, estimate.tokens[at(i)]);
      }
    }
    if (options.progress) options.progress(end / draws, total);
  }
  finish(result, windows, options.seed);
  curves.write(result, 1);
  const double half =
      student_t(total * (kSets - 1)) * std::sqrt(variance) / static_cast<double>(result.tokens);
  result.ci95 = {result.nats_per_token - half, result.nats_per_token + half};
  result.accuracy = static_cast<double>(correct) / static_cast<double>(masked);
  return result;
}

}  // namespace masque
