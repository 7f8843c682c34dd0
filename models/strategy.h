// Strategies of the reverse process: which masked positions a step reveals. A strategy sees one
// block of one sequence at a time: before the forward it says what to mask again and whose logits
// it needs, after it which of the drawn tokens to keep. It holds no state, so that the order of
// sequences does not matter. Each one's rule, source and density: docs/sampling.md
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/sampling.h"

namespace masque {

// A token drawn for a masked position.
struct Proposal {
  std::int64_t position = 0;
  std::int32_t token = 0;
  double probability = 0;  // the token's, at temperature 1
  double confidence = 0;   // what the strategy ranks by
};

// A block of a sequence before a step; without blocks all of it.
struct StepView {
  std::int64_t step = 0, steps = 1;      // of the block; step in [0, steps)
  std::int64_t masks = 0;                // masked when generation began
  std::span<const std::int64_t> masked;  // positions masked now, ascending
  std::span<const Proposal> written;     // what was written, in that order
  std::uint32_t sequence = 0;            // its number in the batch
  std::uint64_t seed = 1;
};

// What of a block's generation is known before it begins, for a device that goes through it without
// asking: how many positions each step reveals, and which, unless ranks decide that.
struct RevealPlan {
  std::vector<std::uint32_t> counts;  // (steps)
  std::vector<std::uint32_t> due;     // (masks) the step of each; empty: the most confident first
};

class Strategy {
 public:
  virtual ~Strategy() = default;
  // What ranks proposals.
  virtual Confidence kind() const { return Confidence::drawn; }
  // Of view.written, the positions to mask again before the step.
  virtual std::vector<std::int64_t> reconsider(const StepView& view) const;
  // Of view.masked, the positions to draw a token for, ascending. None: no forward is needed.
  virtual std::vector<std::int64_t> consider(const StepView& view) const = 0;
  // The proposals to keep, of one for each considered position.
  virtual std::vector<Proposal> choose(const StepView& view,
                                       std::vector<Proposal> proposals) const = 0;
  // Whether a block may be written before its steps are over; the next one then begins at once.
  virtual bool ends_early() const { return false; }
  // Whether there is a plan: what consider and choose come to, of a block before its first step.
  virtual bool has_plan() const { return true; }
  virtual RevealPlan plan(const StepView& first) const;
};

struct StrategyOptions {
  double threshold = 0.9;     // threshold: the least max-probability that is sure enough
  double remask_share = 0.1;  // remask: of the tokens written, how many are reconsidered
};

std::vector<std::string> strategy_names();
// InputError naming those that exist, or where one of its options is out of range.
std::unique_ptr<const Strategy> make_strategy(const std::string& name,
                                              const StrategyOptions& options = {});

// How many of `masks` step `step` of `steps` reveals: equal shares, the remainder to the first.
std::int64_t reveal_count(std::int64_t masks, std::int64_t step, std::int64_t steps);
// And how many the first `step` steps do.
std::int64_t revealed_before(std::int64_t masks, std::int64_t step, std::int64_t steps);

}  // namespace masque
