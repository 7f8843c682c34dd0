// The likelihoods of a comparison: every estimator on the same windows, window by window, so that
// differences are paired.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "apps/compare/plan.h"
#include "models/intervals.h"
#include "models/likelihood.h"
#include "models/run.h"

namespace masque {

// What an estimator says of each window.
struct WindowNats {
  std::vector<std::int64_t> begin, tokens;  // (W) where it lies in the split; scored
  std::vector<double> nats;                 // (W) of all its scored tokens
};
// Of the windows that begin there, in that order. Error where one is missing.
WindowNats restrict_to(const WindowNats& all, std::span<const std::int64_t> begins);
double nats_per_token(const WindowNats& windows);
// Paired bootstrap of (a − b) nats a token. Error where the windows differ.
Interval paired_interval(const WindowNats& a, const WindowNats& b);

nlohmann::json to_json(const WindowNats& windows);
WindowNats windows_from(const nlohmann::json& json);
nlohmann::json to_json(const Interval& interval);  // [lo, hi]; null for NaN

// The texts of a split that are scored.
struct ScoredSplit {
  std::string name;  // test
  std::span<const std::int32_t> tokens;
  std::vector<Window> windows, chain_windows;
};

// {"order": which of l2r, r2l, max_prob, margin, entropy gives the least chain likelihood on the
// split, "nats": of each}.
nlohmann::json best_orders(Run& run, const ScoredSplit& val);

// All that is measured of one run on a split: {"estimates": of docs/compare-format.md without run,
// model and seed; "windows": estimator (or chain-order) to WindowNats; "by_masked",
// "by_position"}. order: of best_orders; empty: no chains.
nlohmann::json measure_likelihoods(Run& run, const ScoredSplit& split, const EvaluationPlan& plan,
                                   const std::string& order);

}  // namespace masque
