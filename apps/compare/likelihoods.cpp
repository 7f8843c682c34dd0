#include "apps/compare/likelihoods.h"

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numbers>
#include <numeric>

#include "apps/compare/interrupt.h"
#include "apps/json.h"
#include "core/check.h"
#include "models/chain.h"

namespace masque {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kSeed = 1;  // of masks, orders and resampling: the same for every run
constexpr std::int64_t kBatch = 64;
constexpr DecodingOrder kOrders[] = {DecodingOrder::l2r, DecodingOrder::r2l,
                                     DecodingOrder::max_prob, DecodingOrder::margin,
                                     DecodingOrder::entropy};

WindowNats window_nats(const Likelihood& likelihood, const std::vector<Window>& windows) {
  WindowNats result;
  for (const Window& window : windows) result.begin.push_back(window.begin);
  result.tokens = likelihood.window_tokens;
  result.nats = likelihood.window_nats;
  return result;
}

// An estimate of docs/compare-format.md.
struct Named {
  std::string estimator, bound;
  Json order;  // a name, or null
  std::int64_t draws = 0;
  double seconds = 0;
};

Json estimate_json(const Named& named, const Likelihood& likelihood, const ScoredSplit& split) {
  const double nats = likelihood.nats_per_token;
  return {{"split", split.name},
          {"estimator", named.estimator},
          {"order", named.order},
          {"bound", named.bound},
          {"nats", nats},
          {"ci95", to_json(likelihood.ci95)},
          {"ci95_text", to_json(likelihood.ci95_text)},
          {"bits", nats / std::numbers::ln2},
          {"perplexity", std::exp(nats)},
          {"tokens", likelihood.tokens},
          {"windows", likelihood.window_nats.size()},
          {"draws", named.draws},
          {"accuracy", number(likelihood.accuracy)},
          {"seconds", named.seconds}};
}

// Everything measured of a run, as it grows.
class Measurement {
 public:
  Measurement(Run& run, const ScoredSplit& split) : run_(run), split_(split) {}

  void exact() {
    const Likelihood likelihood = timed(exact_likelihood, split_.windows, LikelihoodOptions());
    add({"exact", "exact", "l2r", 0, seconds_}, likelihood, split_.windows, "exact");
    add_curves(likelihood);
  }

  void nelbo(std::int64_t draws) {
    LikelihoodOptions options;
    options.draws = draws;
    const Likelihood likelihood = timed(nelbo_likelihood, split_.windows, options);
    add({"nelbo", "upper", nullptr, draws, seconds_}, likelihood, split_.windows, "nelbo");
    add_curves(likelihood);
  }

  // The mean of random orders and, for nothing more, their mixture.
  void random_orders(std::int64_t orders) {
    const ChainLikelihood likelihood = chain(DecodingOrder::random, orders);
    add({"chain", orders == 1 ? "exact" : "mean", "random", orders, seconds_}, likelihood.mean,
        split_.chain_windows, "chain-random");
    add({"mixture", "exact", "random", orders, 0},
        mixture_likelihood(likelihood, split_.chain_windows, kSeed), split_.chain_windows,
        "mixture");
  }

  // Returns nats a token.
  double one_order(DecodingOrder order) {
    const ChainLikelihood likelihood = chain(order, 1);
    add({"chain", "exact", name_of(order), 1, seconds_}, likelihood.mean, split_.chain_windows,
        "chain-best");
    return likelihood.mean.nats_per_token;
  }

  Json json() const {
    return {{"estimates", estimates_},
            {"windows", windows_},
            {"by_masked", by_masked_},
            {"by_position", by_position_}};
  }

 private:
  template <class Result, class Options>
  using Estimator = Result (*)(Predictor&, std::span<const std::int32_t>,
                               const std::vector<Window>&, std::span<const std::uint8_t>,
                               const Options&);

  // An estimator's result, with the options that every estimator has alike; sets seconds_.
  template <class Result, class Options>
  Result timed(Estimator<Result, Options> estimate, const std::vector<Window>& windows,
               Options options) {
    Progress progress(static_cast<std::int64_t>(windows.size()));
    options.seed = kSeed;
    options.batch = kBatch;
    options.progress = interruptible(progress, "windows");
    Result result = estimate(*run_.network, split_.tokens, windows, excluded_, options);
    seconds_ = progress.seconds();
    return result;
  }

  ChainLikelihood chain(DecodingOrder order, std::int64_t draws) {
    ChainOptions options;
    options.order = order;
    options.draws = draws;
    return timed(chain_likelihood, split_.chain_windows, options);
  }

  void add(const Named& named, const Likelihood& likelihood, const std::vector<Window>& windows,
           const char* key) {
    estimates_.push_back(estimate_json(named, likelihood, split_));
    windows_[key] = to_json(window_nats(likelihood, windows));
  }

  void add_curves(const Likelihood& likelihood) {
    by_masked_ = points(likelihood.by_masked);
    by_position_ = likelihood.by_position;
  }

  Run& run_;
  const ScoredSplit& split_;
  const std::vector<std::uint8_t> excluded_ = run_.tokenizer.excluded();
  Json estimates_ = Json::array(), windows_ = Json::object(), by_masked_ = Json::array(),
       by_position_ = Json::array();
  double seconds_ = 0;
};

}  // namespace

WindowNats restrict_to(const WindowNats& all, std::span<const std::int64_t> begins) {
  std::map<std::int64_t, std::size_t> at;
  for (std::size_t w = 0; w < all.begin.size(); ++w) at[all.begin[w]] = w;
  WindowNats some;
  for (const std::int64_t begin : begins) {
    const auto found = at.find(begin);
    CHECK(found != at.end(), "compare: no likelihood of the window at {}", begin);
    some.begin.push_back(begin);
    some.tokens.push_back(all.tokens[found->second]);
    some.nats.push_back(all.nats[found->second]);
  }
  return some;
}

double nats_per_token(const WindowNats& windows) {
  const double nats = std::accumulate(windows.nats.begin(), windows.nats.end(), 0.0);
  return nats / static_cast<double>(
                    std::accumulate(windows.tokens.begin(), windows.tokens.end(), std::int64_t{0}));
}

Interval paired_interval(const WindowNats& a, const WindowNats& b) {
  CHECK(a.begin == b.begin && a.tokens == b.tokens, "compare: {} windows and {} are not the same",
        a.begin.size(), b.begin.size());
  return paired_difference(a.nats, b.nats, a.tokens, kSeed);
}

Json to_json(const WindowNats& windows) {
  return {{"begin", windows.begin}, {"tokens", windows.tokens}, {"nats", windows.nats}};
}

WindowNats windows_from(const Json& json) {
  WindowNats windows;
  json.at("begin").get_to(windows.begin);
  json.at("tokens").get_to(windows.tokens);
  json.at("nats").get_to(windows.nats);
  return windows;
}

Json to_json(const Interval& interval) {
  if (std::isnan(interval.lo)) return nullptr;
  return {interval.lo, interval.hi};
}

Json best_orders(Run& run, const ScoredSplit& val) {
  Json nats = Json::object();
  std::string best;
  for (const DecodingOrder order : kOrders) {
    Measurement measurement(run, val);
    const std::string name = name_of(order);
    nats[name] = measurement.one_order(order);
    if (best.empty() || nats[name] < nats[best]) best = name;
  }
  return {{"order", best}, {"nats", nats}};
}

Json measure_likelihoods(Run& run, const ScoredSplit& split, const EvaluationPlan& plan,
                         const std::string& order) {
  Measurement measurement(run, split);
  if (run.config.model.objective == ObjectiveKind::ar) {
    measurement.exact();
    return measurement.json();
  }
  measurement.nelbo(plan.draws);
  if (!order.empty() && !split.chain_windows.empty()) {
    measurement.random_orders(plan.mixture_orders);
    measurement.one_order(order_of(order));
  }
  return measurement.json();
}

}  // namespace masque
