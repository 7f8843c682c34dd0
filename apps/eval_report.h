// What `masque eval` says of a likelihood: one JSON object, or lines for a reader.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "models/likelihood.h"

namespace masque {

struct EvalReport {
  std::string run, objective, estimator, split, checkpoint;
  bool ema = false;                  // of the checkpoint, the averaged weights
  std::optional<std::string> order;  // nelbo has none
  Likelihood likelihood;
  std::optional<Likelihood> mixture;      // chain, random: of the same orders
  std::optional<double> unigram, bigram;  // nats a token
  std::int64_t window_length = 0;
  std::int64_t draws = 0;  // exact: 0; nelbo: masked copies a window; chain, mixture: orders
  std::uint64_t seed = 0;
  double seconds = 0;

  // "exact"; "upper", a bound; or "mean", of several exact likelihoods.
  std::string bound() const;
};

nlohmann::ordered_json to_json(const EvalReport& report);
// curves: by tokens masked and by position too, where the estimator has them.
void print(const EvalReport& report, bool curves);

}  // namespace masque
