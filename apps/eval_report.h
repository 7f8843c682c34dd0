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
  std::string unit;                  // what a token is: character or byte
  std::int64_t bytes = 0;            // of UTF-8, of the tokens that are scored
  Likelihood likelihood;
  std::optional<Likelihood> mixture;      // chain, random: of the same orders
  std::optional<double> unigram, bigram;  // nats a token
  std::int64_t window_length = 0;
  std::int64_t draws = 0;  // exact: 0; nelbo: masked copies a window; chain, mixture: orders
  std::uint64_t seed = 0;
  double seconds = 0;

  // "exact"; "upper", a bound; or "mean", of several exact likelihoods.
  std::string bound() const;
  std::optional<double> bits_per_char() const;  // where tokens are characters
  double bits_per_byte() const;                 // compares between tokenizers
};

nlohmann::ordered_json to_json(const EvalReport& report);
// curves: by tokens masked and by position too, where the estimator has them.
void print(const EvalReport& report, bool curves);

}  // namespace masque
