// Strategies of the reverse process: which masked positions a step reveals. A strategy sees one
// sequence at a time, twice a step: before the forward it says whose logits it needs, after it
// which of the drawn tokens to keep. It holds no state, so that the order of sequences does not
// matter.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace masque {

// One sequence before a step.
struct StepView {
  std::int64_t step = 0, steps = 1;      // step in [0, steps)
  std::int64_t masks = 0;                // masked when generation began
  std::span<const std::int64_t> masked;  // positions masked now, ascending
  std::uint32_t sequence = 0;            // its number in the batch
  std::uint64_t seed = 1;
};

// A token drawn for a masked position.
struct Proposal {
  std::int64_t position = 0;
  std::int32_t token = 0;
  double confidence = 0;  // the token's probability at temperature 1
};

// What of a sequence's generation is known before it begins, for a device that goes through it
// without asking: how many positions each step reveals, and which, unless ranks decide that.
struct RevealPlan {
  std::vector<std::uint32_t> counts;  // (steps)
  std::vector<std::uint32_t> due;     // (masks) the step of each; empty: the most confident first
};

class Strategy {
 public:
  virtual ~Strategy() = default;
  // Of view.masked, the positions to draw a token for, ascending. None: no forward is needed.
  virtual std::vector<std::int64_t> consider(const StepView& view) const = 0;
  // The proposals to keep, of one for each considered position. Their tokens are final.
  virtual std::vector<Proposal> choose(const StepView& view,
                                       std::vector<Proposal> proposals) const = 0;
  // What consider and choose come to, of a sequence before its first step.
  virtual RevealPlan plan(const StepView& first) const = 0;
};

// ancestral: from t = 1 − step/steps to s = t − 1/steps each masked position is revealed with
// probability 1 − s/t; the last step reveals all. low_confidence: a fixed count a step, of highest
// confidence, ties to the lowest position. Nie et al. 2025, arXiv:2502.09992, algorithms 4 and 5
std::vector<std::string> strategy_names();
// InputError naming those that exist.
std::unique_ptr<const Strategy> make_strategy(const std::string& name);

// How many of `masks` step `step` of `steps` reveals: equal shares, the remainder to the first.
std::int64_t reveal_count(std::int64_t masks, std::int64_t step, std::int64_t steps);

}  // namespace masque
