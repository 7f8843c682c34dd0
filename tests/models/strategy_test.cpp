// The law of every strategy, held to enumeration.
#include "models/strategy.h"

#include <numeric>

#include "kernels/backend.h"
#include "tests/support/catch.h"
#include "tests/support/sampling.h"

namespace masque::test {
namespace {

// Of 27 sequences; χ² of 26 degrees of freedom is above once in 1e6.
constexpr double kChiLimit = 79;

double max_of(const Drawing& drawing) {
  return *std::max_element(drawing.p.begin(), drawing.p.end());
}

double margin_of(const Drawing& drawing) {
  std::vector<double> p = drawing.p;
  std::sort(p.rbegin(), p.rend());
  return p[0] - p[1];
}

double minus_entropy_of(const Drawing& drawing) {
  double sum = 0;
  for (const double p : drawing.p) sum += p > 0 ? p * std::log(p) : 0;
  return sum;
}

double drawn_of(const Drawing& drawing) {
  return drawing.p[drawing.letter];
}

using Score = double (*)(const Drawing&);

std::vector<std::size_t> best(const std::vector<Drawing>& drawings, Score score,
                              std::size_t count) {
  std::vector<std::size_t> order(drawings.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return score(drawings[a]) > score(drawings[b]);
  });
  order.resize(std::min(count, order.size()));
  return order;
}

// counts: of each step.
Rule ranked(Score score, std::vector<std::size_t> counts) {
  return [=](std::int64_t step, const std::vector<Drawing>& drawings) -> Choice {
    return {{1.0, best(drawings, score, counts[static_cast<std::size_t>(step)])}};
  };
}

// Every subset of that size alike.
Rule uniform_order(std::vector<std::size_t> counts) {
  return [=](std::int64_t step, const std::vector<Drawing>& drawings) -> Choice {
    Choice choice;
    for (std::size_t subset = 0; subset < std::size_t{1} << drawings.size(); ++subset) {
      std::vector<std::size_t> kept;
      for (std::size_t i = 0; i < drawings.size(); ++i) {
        if ((subset >> i & 1) != 0) kept.push_back(i);
      }
      if (kept.size() == counts[static_cast<std::size_t>(step)]) choice.emplace_back(0.0, kept);
    }
    for (auto& each : choice) each.first = 1.0 / static_cast<double>(choice.size());
    return choice;
  };
}

// Each with probability 1/(steps that are left).
Rule independent(std::int64_t steps) {
  return [=](std::int64_t step, const std::vector<Drawing>& drawings) -> Choice {
    const double each = 1.0 / static_cast<double>(steps - step);
    Choice choice;
    for (std::size_t subset = 0; subset < std::size_t{1} << drawings.size(); ++subset) {
      choice.emplace_back(1.0, std::vector<std::size_t>());
      for (std::size_t i = 0; i < drawings.size(); ++i) {
        const bool kept = (subset >> i & 1) != 0;
        if (kept) choice.back().second.push_back(i);
        choice.back().first *= kept ? each : 1 - each;
      }
    }
    return choice;
  };
}

Rule sure(double threshold, std::int64_t steps) {
  return [=](std::int64_t step, const std::vector<Drawing>& drawings) -> Choice {
    if (step + 1 == steps) return {{1.0, best(drawings, max_of, drawings.size())}};
    const auto count = std::count_if(drawings.begin(), drawings.end(), [=](const Drawing& drawing) {
      return max_of(drawing) >= threshold;
    });
    return {{1.0,
             best(drawings, max_of, static_cast<std::size_t>(std::max<std::ptrdiff_t>(1, count)))}};
  };
}

Ids draw(Predictor& predictor, const MarkovChain& chain, const Ids& canvas,
         const SampleOptions& options, std::int64_t n = kMany) {
  return sample_llada(predictor, repeated(canvas, n), static_cast<std::int64_t>(canvas.size()),
                      chain.excluded(), options)
      .ids;
}

TEST_CASE("One token a step samples the model exactly", "[sampler][cpu]") {
  const MarkovChain chain = uneven_letters();
  MarkovPredictor predictor(chain, 3, false);
  const Law law = law_of(chain, 3);
  for (const std::string strategy : {"random", "max_prob", "margin", "entropy"}) {
    CAPTURE(strategy);
    CHECK(chi_squared(draw(predictor, chain, masks(3), with(strategy, 3)), 3, law) < kChiLimit);
  }
  SampleOptions one_by_one = with("threshold", 0);
  one_by_one.of_strategy.threshold = 1;
  CHECK(chi_squared(draw(predictor, chain, masks(3), one_by_one), 3, law) < kChiLimit);
  // The statistic has the power to tell: LLaDA's order looks at what was drawn.
  CHECK(chi_squared(draw(predictor, chain, masks(3), with("low_confidence", 3)), 3, law) >
        10 * kChiLimit);
}

TEST_CASE("Each strategy's law, of a model whose orders differ", "[sampler][cpu]") {
  const MarkovChain chain({0.1, 0.4, 0.5}, {{0.05, 0.15, 0.8}, {0.15, 0.6, 0.25}, {0.1, 0.3, 0.6}});
  MarkovPredictor predictor(chain, 4, false, 2);
  struct Named {
    std::string strategy;
    std::int64_t steps;
    Rule rule;
  };
  const std::vector<std::size_t> one = {1, 1, 1}, two = {2, 1};
  std::vector<Named> all = {{"ancestral", 2, independent(2)},
                            {"random", 3, uniform_order(one)},
                            {"random", 2, uniform_order(two)},
                            {"threshold", 3, sure(0.7, 3)},
                            {"threshold", 2, sure(0.7, 2)}};
  const std::vector<std::pair<std::string, Score>> scores = {{"low_confidence", drawn_of},
                                                             {"max_prob", max_of},
                                                             {"margin", margin_of},
                                                             {"entropy", minus_entropy_of}};
  for (const auto& [name, score] : scores) {
    all.push_back({name, 3, ranked(score, one)});
    all.push_back({name, 2, ranked(score, two)});
  }
  const Ids canvas = {kMask, kB, kMask, kMask};
  std::vector<Law> laws;
  for (const Named& named : all) {
    laws.push_back(law_of(predictor, canvas, named.steps, named.rule));
  }
  for (const Named& named : all) {
    SampleOptions options = with(named.strategy, named.steps);
    options.of_strategy.threshold = 0.7;
    const Ids ids = draw(predictor, chain, canvas, options, 8000);
    for (std::size_t i = 0; i < all.size(); ++i) {
      const bool own = all[i].strategy == named.strategy;
      // One a step the law is this strategy's alone.
      if (all[i].steps != named.steps || (named.steps == 2 && !own)) continue;
      CAPTURE(named.strategy, named.steps, all[i].strategy);
      CHECK((chi_squared(ids, 4, laws[i]) < kChiLimit) == own);
    }
  }
}

TEST_CASE("low_confidence lowers the temperature", "[sampler][cpu]") {
  // Two independent positions (0.6, 0.4): an a shows first with probability 1 − 0.4²; 0.84·0.6.
  const MarkovChain chain = independent_letters({0.6, 0.4});
  MarkovPredictor predictor(chain, 2, false);
  const auto aa = [&](const SampleOptions& options) {
    return share(draw(predictor, chain, masks(2), options), 2,
                 [](auto ids) { return ids[0] == kA && ids[1] == kA; });
  };
  CHECK(aa(with("low_confidence", 2)) == Approx(0.504).margin(kMargin));
  // Those that look at the distribution, not at the draw, do not.
  for (const std::string strategy : {"ancestral", "random", "max_prob", "margin", "entropy"}) {
    CHECK(aa(with(strategy, 2)) == Approx(0.36).margin(kMargin));
  }
  for (const double threshold : {0.5, 0.7}) {
    SampleOptions options = with("threshold", 2);
    options.of_strategy.threshold = threshold;
    CHECK(aa(options) == Approx(0.36).margin(kMargin));
  }
}

TEST_CASE("threshold writes all that are sure, at least one, and ends", "[sampler][cpu]") {
  const MarkovChain chain = uneven_letters();
  MarkovPredictor predictor(chain, 5, false);
  std::vector<std::int64_t> left;
  const auto run = [&](double threshold, std::int64_t steps) {
    SampleOptions options = with("threshold", steps);
    options.of_strategy.threshold = threshold;
    left.clear();
    return sample_llada(
        predictor, masks(5), 5, chain.excluded(), options, [&](const StepReport& report) {
          left.push_back(std::count(report.sequences.begin(), report.sequences.end(), kMask));
        });
  };
  CHECK(run(0, 0).forwards == 1);
  CHECK(left == std::vector<std::int64_t>{0});
  CHECK(run(0, 4).forwards == 1);
  CHECK(left == std::vector<std::int64_t>{0});
  CHECK(run(1, 0).forwards == 5);
  CHECK(left == std::vector<std::int64_t>{4, 3, 2, 1, 0});
  CHECK(run(1, 3).forwards == 3);
  CHECK(left == std::vector<std::int64_t>{4, 3, 0});
  CHECK_THROWS_WITH(run(1.5, 0), "threshold is 1.5: give a share from 0 to 1");
  CHECK_THROWS_AS(run(std::nan(""), 0), InputError);
}

TEST_CASE("threshold: a sequence that is written takes no more forwards", "[sampler][cpu]") {
  const MarkovChain chain = uneven_letters();
  MarkovPredictor predictor(chain, 4, false);
  SampleOptions options = with("threshold", 0);
  options.of_strategy.threshold = 1;
  const SampleResult result = sample_llada(
      predictor, {kA, kMask, kB, kA, kMask, kMask, kMask, kMask}, 4, chain.excluded(), options);
  CHECK(result.sequence_forwards == std::vector<std::int64_t>{1, 4});
  CHECK(result.forwards == 4);
}

SampleOptions remask(std::int64_t steps, double share) {
  SampleOptions options = with("remask", steps);
  options.of_strategy.remask_share = share;
  return options;
}

TEST_CASE("remask has the law of its corrections", "[sampler][cpu]") {
  const MarkovChain chain = independent_letters({0.6, 0.4});
  MarkovPredictor predictor(chain, 2, false);
  const auto ids = [&](std::int64_t steps, double of_written) {
    return draw(predictor, chain, masks(2), remask(steps, of_written));
  };
  const Law once = {{{kA, kA}, 0.36}, {{kA, kB}, 0.24}, {{kB, kA}, 0.24}, {{kB, kB}, 0.16}};
  // The second step masks the first one's token again, and draws both.
  CHECK(chi_squared(ids(2, 1), 2, once) < 30);
  // A third draws the less probable again, of equals the first.
  const Law twice = {{{kA, kA}, 0.36 * 0.6 + 0.48 * 0.6},
                     {{kA, kB}, 0.24 * 0.4 + 0.16 * 0.6},
                     {{kB, kA}, 0.36 * 0.4 + 0.24 * 0.4},
                     {{kB, kB}, 0.16 * 0.4}};
  CHECK(chi_squared(ids(3, 0.5), 2, twice) < 30);
  CHECK(ids(2, 0) == draw(predictor, chain, masks(2), with("low_confidence", 2)));
}

TEST_CASE("remask keeps to the schedule and to what is given", "[sampler][cpu]") {
  const MarkovChain chain = uneven_letters();
  MarkovPredictor predictor(chain, 9, false, 1);
  const Ids given = {kA, kMask, kMask, kB, kMask, kMask, kMask, kC, kMask};
  for (const double of_written : {0.0, 0.3, 1.0}) {
    for (const std::int64_t steps : {1, 2, 4, 6, 9}) {
      CAPTURE(of_written, steps);
      std::int64_t step = 0, changed = 0;
      Ids before = given;
      const SampleResult result = sample_llada(
          predictor, given, 9, chain.excluded(), remask(steps, of_written),
          [&](const StepReport& report) {
            ++step;
            const auto ids = report.sequences;
            CHECK(std::count(ids.begin(), ids.end(), kMask) == 6 - revealed_before(6, step, steps));
            for (std::size_t i = 0; i < given.size(); ++i) {
              if (given[i] != kMask) CHECK(ids[i] == given[i]);
              if (before[i] != kMask && ids[i] != before[i]) ++changed;
              // What is new is reported, and what is reported is written.
              if (ids[i] != before[i] && ids[i] != kMask) CHECK(report.probabilities[i] > 0);
              if (!std::isnan(report.probabilities[i])) CHECK(ids[i] != kMask);
            }
            before.assign(ids.begin(), ids.end());
          });
      CHECK(step == steps);
      CHECK(std::count(result.ids.begin(), result.ids.end(), kMask) == 0);
      CHECK(result.forwards == (of_written == 0 ? std::min<std::int64_t>(steps, 6) : steps));
      if (of_written == 0 || steps == 1) CHECK(changed == 0);
      if (of_written == 1 && steps == 9) CHECK(changed > 0);
    }
  }
  CHECK_THROWS_WITH(sample_llada(predictor, given, 9, chain.excluded(), remask(2, -0.1)),
                    "remask share is -0.1: give a share from 0 to 1");
}

TEST_CASE("A plan is what consider and choose come to", "[sampler][cpu]") {
  const std::vector<std::int64_t> masked = {2, 3, 5, 8, 9};
  for (const std::string strategy : {"ancestral", "random"}) {
    for (const std::int64_t steps : {1, 3, 5, 12}) {
      StepView view;
      view.steps = steps;
      view.masks = 5;
      view.masked = masked;
      view.sequence = 3;
      const auto made = make_strategy(strategy);
      const RevealPlan plan = made->plan(view);
      std::vector<std::int64_t> now = masked;
      for (view.step = 0; view.step < steps; ++view.step) {
        view.masked = now;
        std::vector<std::int64_t> due;
        for (std::size_t i = 0; i < masked.size(); ++i) {
          if (plan.due[i] == view.step) due.push_back(masked[i]);
        }
        CHECK(made->consider(view) == due);
        CHECK(plan.counts[static_cast<std::size_t>(view.step)] == due.size());
        std::erase_if(now, [&](std::int64_t position) {
          return std::find(due.begin(), due.end(), position) != due.end();
        });
      }
      CHECK(now.empty());
    }
  }
  CHECK_THROWS_WITH(make_strategy("remask")->plan({}), Catch::Contains("no plan"));
}

TEST_CASE("A step's reveal counts sum to the masks", "[sampler][cpu]") {
  for (const std::int64_t count : {0, 1, 5, 17}) {
    for (const std::int64_t steps : {1, 2, 4, 17, 100}) {
      std::int64_t sum = 0;
      for (std::int64_t step = 0; step < steps; ++step) {
        CHECK(revealed_before(count, step, steps) == sum);
        sum += reveal_count(count, step, steps);
      }
      CHECK(sum == count);
    }
  }
}

}  // namespace
}  // namespace masque::test
