#include "models/strategy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "kernels/philox.h"
#include "kernels/row_chunks.h"

namespace masque {
namespace {

// Low halves of Purpose::sample's stream; 0 draws tokens.
constexpr std::uint32_t kAncestralDraws = 1, kRandomDraws = 2;

std::int64_t count_of(const StepView& view) {
  return reveal_count(view.masks, view.step, view.steps);
}

std::vector<std::int64_t> all(std::span<const std::int64_t> positions) {
  return {positions.begin(), positions.end()};
}

// The `count` of highest confidence, of equals the first.
std::vector<Proposal> most_confident(std::vector<Proposal> proposals, std::int64_t count) {
  std::stable_sort(proposals.begin(), proposals.end(), [](const Proposal& a, const Proposal& b) {
    return a.confidence > b.confidence;
  });
  proposals.resize(std::min(proposals.size(), static_cast<std::size_t>(count)));
  return proposals;
}

RevealPlan fixed_counts(const StepView& first) {
  RevealPlan plan;
  for (std::int64_t step = 0; step < first.steps; ++step) {
    plan.counts.push_back(static_cast<std::uint32_t>(reveal_count(first.masks, step, first.steps)));
  }
  return plan;
}

void check_share(const char* name, double value) {
  if (!(value >= 0 && value <= 1)) {
    throw InputError(fmt::format("{} is {}: give a share from 0 to 1", name, value));
  }
}

// From t = 1 − step/steps to s = t − 1/steps each masked position is revealed with probability
// 1 − s/t.
class Ancestral : public Strategy {
 public:
  std::vector<std::int64_t> consider(const StepView& view) const override {
    std::vector<std::int64_t> revealed;
    for (const std::int64_t position : view.masked) {
      if (reveals(view, view.step, position)) revealed.push_back(position);
    }
    return revealed;
  }
  std::vector<Proposal> choose(const StepView& /*view*/,
                               std::vector<Proposal> proposals) const override {
    return proposals;
  }
  RevealPlan plan(const StepView& first) const override {
    RevealPlan plan;
    plan.counts.resize(static_cast<std::size_t>(first.steps));
    plan.due.resize(first.masked.size());
#pragma omp parallel for schedule(static) if (first.masks * first.steps >= kParallelElements)
    for (std::size_t i = 0; i < first.masked.size(); ++i) {
      std::int64_t step = 0;
      while (!reveals(first, step, first.masked[i])) ++step;
      plan.due[i] = static_cast<std::uint32_t>(step);
    }
    for (const std::uint32_t step : plan.due) ++plan.counts[step];
    return plan;
  }

 private:
  static bool reveals(const StepView& view, std::int64_t step, std::int64_t position) {
    const double share = 1.0 / static_cast<double>(view.steps - step);  // 1 − s/t
    const std::uint32_t word = philox_word(view.seed, stream_of(Purpose::sample, kAncestralDraws),
                                           static_cast<std::uint32_t>(step), view.sequence,
                                           static_cast<std::uint64_t>(position));
    return uniform(word) < share;
  }
};

// A fixed count a step, in a uniformly random order: by rising random words of the positions.
class Random : public Strategy {
 public:
  std::vector<std::int64_t> consider(const StepView& view) const override {
    std::vector<std::int64_t> revealed = in_order(view);
    revealed.resize(std::min(revealed.size(), static_cast<std::size_t>(count_of(view))));
    std::sort(revealed.begin(), revealed.end());
    return revealed;
  }
  std::vector<Proposal> choose(const StepView& /*view*/,
                               std::vector<Proposal> proposals) const override {
    return proposals;
  }
  RevealPlan plan(const StepView& first) const override {
    RevealPlan plan = fixed_counts(first);
    plan.due.resize(first.masked.size());
    const std::vector<std::int64_t> order = in_order(first);
    std::size_t next = 0;
    for (std::size_t step = 0; step < plan.counts.size(); ++step) {
      for (std::uint32_t k = 0; k < plan.counts[step]; ++k) {
        const auto masked =
            std::lower_bound(first.masked.begin(), first.masked.end(), order[next++]);
        plan.due[static_cast<std::size_t>(masked - first.masked.begin())] =
            static_cast<std::uint32_t>(step);
      }
    }
    return plan;
  }

 private:
  // view.masked in the order of their turns.
  static std::vector<std::int64_t> in_order(const StepView& view) {
    std::vector<std::pair<std::uint32_t, std::int64_t>> turns;
    for (const std::int64_t position : view.masked) {
      turns.emplace_back(philox_word(view.seed, stream_of(Purpose::sample, kRandomDraws), 0,
                                     view.sequence, static_cast<std::uint64_t>(position)),
                         position);
    }
    std::sort(turns.begin(), turns.end());
    std::vector<std::int64_t> order;
    for (const auto& turn : turns) order.push_back(turn.second);
    return order;
  }
};

// A fixed count a step, of highest confidence, ties to the lowest position.
class Ranked : public Strategy {
 public:
  explicit Ranked(Confidence kind) : kind_(kind) {}
  Confidence kind() const override { return kind_; }
  std::vector<std::int64_t> consider(const StepView& view) const override {
    if (count_of(view) == 0) return {};
    return all(view.masked);
  }
  std::vector<Proposal> choose(const StepView& view,
                               std::vector<Proposal> proposals) const override {
    return most_confident(std::move(proposals), count_of(view));
  }
  RevealPlan plan(const StepView& first) const override { return fixed_counts(first); }

 private:
  Confidence kind_;
};

// All that are sure enough, at least one; the last step reveals the rest.
class Threshold : public Strategy {
 public:
  explicit Threshold(double threshold) : threshold_(threshold) {
    check_share("threshold", threshold);
  }
  Confidence kind() const override { return Confidence::max_prob; }
  std::vector<std::int64_t> consider(const StepView& view) const override {
    return all(view.masked);
  }
  std::vector<Proposal> choose(const StepView& view,
                               std::vector<Proposal> proposals) const override {
    if (view.step + 1 == view.steps) return proposals;
    const auto sure = std::count_if(proposals.begin(), proposals.end(), [this](const Proposal& p) {
      return p.confidence >= threshold_;
    });
    return most_confident(std::move(proposals), std::max<std::int64_t>(1, sure));
  }
  bool ends_early() const override { return true; }
  bool has_plan() const override { return false; }

 private:
  double threshold_;
};

// low_confidence, with corrections: a share of the tokens written, those least probable when they
// were, are masked again before each step; the step writes as many more.
class Remask : public Strategy {
 public:
  explicit Remask(double share) : share_(share) { check_share("remask share", share); }
  std::vector<std::int64_t> reconsider(const StepView& view) const override {
    std::vector<Proposal> written(view.written.begin(), view.written.end());
    std::sort(written.begin(), written.end(), [](const Proposal& a, const Proposal& b) {
      return a.probability != b.probability ? a.probability < b.probability
                                            : a.position < b.position;
    });
    const auto count = std::llround(share_ * static_cast<double>(written.size()));
    std::vector<std::int64_t> positions;
    for (std::int64_t i = 0; i < count; ++i) positions.push_back(written[i].position);
    return positions;
  }
  std::vector<std::int64_t> consider(const StepView& view) const override {
    if (missing(view) == 0) return {};
    return all(view.masked);
  }
  std::vector<Proposal> choose(const StepView& view,
                               std::vector<Proposal> proposals) const override {
    return most_confident(std::move(proposals), missing(view));
  }
  bool has_plan() const override { return false; }

 private:
  // To write in this step, so that the schedule is kept.
  static std::int64_t missing(const StepView& view) {
    return revealed_before(view.masks, view.step + 1, view.steps) -
           (view.masks - static_cast<std::int64_t>(view.masked.size()));
  }
  double share_;
};

using Made = std::unique_ptr<const Strategy>;

struct NamedStrategy {
  const char* name;
  Made (*make)(const StrategyOptions& options);
};

template <Confidence Kind>
Made ranked(const StrategyOptions& /*options*/) {
  return std::make_unique<const Ranked>(Kind);
}

const NamedStrategy kStrategies[] = {
    {"ancestral",
     [](const StrategyOptions&) -> Made { return std::make_unique<const Ancestral>(); }},
    {"random", [](const StrategyOptions&) -> Made { return std::make_unique<const Random>(); }},
    {"low_confidence", ranked<Confidence::drawn>},
    {"max_prob", ranked<Confidence::max_prob>},
    {"margin", ranked<Confidence::margin>},
    {"entropy", ranked<Confidence::entropy>},
    {"threshold",
     [](const StrategyOptions& options) -> Made {
       return std::make_unique<const Threshold>(options.threshold);
     }},
    {"remask",
     [](const StrategyOptions& options) -> Made {
       return std::make_unique<const Remask>(options.remask_share);
     }},
};

}  // namespace

std::vector<std::int64_t> Strategy::reconsider(const StepView& /*view*/) const {
  return {};
}

RevealPlan Strategy::plan(const StepView& /*first*/) const {
  throw Error("strategy: what this one reveals depends on what it has seen; it has no plan");
}

std::vector<std::string> strategy_names() {
  std::vector<std::string> names;
  for (const NamedStrategy& strategy : kStrategies) names.emplace_back(strategy.name);
  return names;
}

std::unique_ptr<const Strategy> make_strategy(const std::string& name,
                                              const StrategyOptions& options) {
  for (const NamedStrategy& strategy : kStrategies) {
    if (name == strategy.name) return strategy.make(options);
  }
  throw InputError(
      fmt::format("unknown strategy '{}': choose {}", name, fmt::join(strategy_names(), ", ")));
}

std::int64_t reveal_count(std::int64_t masks, std::int64_t step, std::int64_t steps) {
  return masks / steps + (step < masks % steps ? 1 : 0);
}

std::int64_t revealed_before(std::int64_t masks, std::int64_t step, std::int64_t steps) {
  return masks / steps * step + std::min(step, masks % steps);
}

}  // namespace masque
