// A number over seeds: its mean, and how far another training might lie.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>

#include "models/intervals.h"

namespace masque {

struct SeedMean {
  double mean = 0;
  nlohmann::json across_seeds;  // 95% t interval [lo, hi], or null for one seed
};

inline SeedMean mean_over_seeds(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  SeedMean result;
  result.mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  if (values.size() < 2) return result;
  double square = 0;
  for (const double value : values) square += (value - result.mean) * (value - result.mean);
  const double half =
      student_t(static_cast<std::int64_t>(values.size()) - 1) * std::sqrt(square / (n - 1) / n);
  result.across_seeds = {result.mean - half, result.mean + half};
  return result;
}

}  // namespace masque
