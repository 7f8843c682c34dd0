// What the likelihood estimators share: the rules of their arguments, random orders, totals with
// intervals, and the curves that each window adds to.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/likelihood.h"

namespace masque {

// The rules that every estimator's arguments obey. Returns the windows' one length.
std::int64_t check_windows(const Predictor& predictor, std::span<const std::int32_t> tokens,
                           const std::vector<Window>& windows,
                           std::span<const std::uint8_t> excluded, std::int64_t batch);

// Totals, and the interval over texts, from window_nats; ci95 of zero width.
void finish(Likelihood& result, const std::vector<Window>& windows, std::uint64_t seed);

// The first l of [first, first + n) in a random order: the head of a Fisher-Yates shuffle. Draws
// are philox_word(seed, stream, step, row, 0 … l − 1).
std::vector<std::int64_t> random_order(std::int64_t first, std::int64_t n, std::int64_t l,
                                       std::uint64_t seed, std::uint32_t stream, std::uint32_t step,
                                       std::uint32_t row);

// The curves of Likelihood, from what the windows that score the most tokens add to them.
class Curves {
 public:
  explicit Curves(const std::vector<Window>& windows);

  // Whether the window is one of them.
  bool take(const Window& window) const { return window.length - window.scored_from == n_; }
  // A masked copy with l tokens masked costs `nats` a masked token.
  void add_masked(std::int64_t l, double nats);
  // Scored token k of a window costs `nats` more.
  void add_position(std::int64_t k, double nats);
  // rounds: how many times each window added all its positions.
  void write(Likelihood& result, std::int64_t rounds) const;

 private:
  std::int64_t n_ = 0, windows_ = 0;
  std::vector<double> masked_nats_;         // (n) of l = index + 1
  std::vector<std::int64_t> masked_draws_;  // (n)
  std::vector<double> position_nats_;       // (n)
};

}  // namespace masque
