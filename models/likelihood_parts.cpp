#include "models/likelihood_parts.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "core/check.h"
#include "core/index.h"
#include "kernels/philox.h"

namespace masque {
namespace {

constexpr std::int64_t kBins = 16;  // of by_masked

}  // namespace

std::int64_t check_windows(const Predictor& predictor, std::span<const std::int32_t> tokens,
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

std::vector<std::int64_t> random_order(std::int64_t first, std::int64_t n, std::int64_t l,
                                       std::uint64_t seed, std::uint32_t stream, std::uint32_t step,
                                       std::uint32_t row) {
  std::vector<std::int64_t> positions(at(n));
  std::iota(positions.begin(), positions.end(), first);
  for (std::int64_t k = 0; k < l; ++k) {
    const std::uint64_t word = philox_word(seed, stream, step, row, static_cast<std::uint64_t>(k));
    const auto offset = static_cast<std::int64_t>(word * static_cast<std::uint64_t>(n - k) >> 32);
    std::swap(positions[at(k)], positions[at(k + offset)]);
  }
  positions.resize(at(l));
  return positions;
}

Curves::Curves(const std::vector<Window>& windows) {
  for (const Window& window : windows) n_ = std::max(n_, window.length - window.scored_from);
  windows_ = std::count_if(windows.begin(), windows.end(),
                           [&](const Window& window) { return take(window); });
  masked_nats_.resize(at(n_));
  masked_draws_.resize(at(n_));
  position_nats_.resize(at(n_));
}

void Curves::add_masked(std::int64_t l, double nats) {
  masked_nats_[at(l - 1)] += nats;
  ++masked_draws_[at(l - 1)];
}

void Curves::add_position(std::int64_t k, double nats) {
  position_nats_[at(k)] += nats;
}

void Curves::write(Likelihood& result, std::int64_t rounds) const {
  result.by_position = position_nats_;
  for (double& nats : result.by_position) nats /= static_cast<double>(windows_ * rounds);

  const std::int64_t bins = std::min(kBins, n_);
  if (std::all_of(masked_draws_.begin(), masked_draws_.end(),
                  [](std::int64_t draws) { return draws == 0; })) {
    return;
  }
  for (std::int64_t bin = 0; bin < bins; ++bin) {
    const std::int64_t begin = bin * n_ / bins, end = (bin + 1) * n_ / bins;
    const auto draws = std::accumulate(masked_draws_.begin() + begin, masked_draws_.begin() + end,
                                       std::int64_t{0});
    const double nats =
        std::accumulate(masked_nats_.begin() + begin, masked_nats_.begin() + end, 0.0);
    const double mean =
        draws == 0 ? std::numeric_limits<double>::quiet_NaN() : nats / static_cast<double>(draws);
    result.by_masked.push_back({begin + 1, end, draws, mean});
  }
}

}  // namespace masque
