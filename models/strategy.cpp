#include "models/strategy.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/backend.h"
#include "kernels/philox.h"
#include "kernels/row_chunks.h"

namespace masque {
namespace {

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
    const std::uint32_t word =
        philox_word(view.seed, stream_of(Purpose::sample, 1), static_cast<std::uint32_t>(step),
                    view.sequence, static_cast<std::uint64_t>(position));
    return uniform(word) < share;
  }
};

class LowConfidence : public Strategy {
 public:
  std::vector<std::int64_t> consider(const StepView& view) const override {
    if (reveal_count(view.masks, view.step, view.steps) == 0) return {};
    return {view.masked.begin(), view.masked.end()};
  }
  std::vector<Proposal> choose(const StepView& view,
                               std::vector<Proposal> proposals) const override {
    std::stable_sort(proposals.begin(), proposals.end(), [](const Proposal& a, const Proposal& b) {
      return a.confidence > b.confidence;
    });
    const std::int64_t count = reveal_count(view.masks, view.step, view.steps);
    proposals.resize(std::min(proposals.size(), static_cast<std::size_t>(count)));
    return proposals;
  }
  RevealPlan plan(const StepView& first) const override {
    RevealPlan plan;
    for (std::int64_t step = 0; step < first.steps; ++step) {
      plan.counts.push_back(
          static_cast<std::uint32_t>(reveal_count(first.masks, step, first.steps)));
    }
    return plan;
  }
};

struct NamedStrategy {
  const char* name;
  std::unique_ptr<const Strategy> (*make)();
};

template <class Kind>
std::unique_ptr<const Strategy> make() {
  return std::make_unique<const Kind>();
}

constexpr NamedStrategy kStrategies[] = {
    {"ancestral", make<Ancestral>},
    {"low_confidence", make<LowConfidence>},
};

}  // namespace

std::vector<std::string> strategy_names() {
  std::vector<std::string> names;
  for (const NamedStrategy& strategy : kStrategies) names.emplace_back(strategy.name);
  return names;
}

std::unique_ptr<const Strategy> make_strategy(const std::string& name) {
  for (const NamedStrategy& strategy : kStrategies) {
    if (name == strategy.name) return strategy.make();
  }
  throw InputError(
      fmt::format("unknown strategy '{}': choose {}", name, fmt::join(strategy_names(), " or ")));
}

std::int64_t reveal_count(std::int64_t masks, std::int64_t step, std::int64_t steps) {
  return masks / steps + (step < masks % steps ? 1 : 0);
}

}  // namespace masque
