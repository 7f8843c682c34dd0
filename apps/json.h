// Values as every command writes them in JSON.
#pragma once

#include <cstdint>
#include <ctime>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "models/intervals.h"
#include "models/likelihood.h"

namespace masque {

// JSON has no NaN or infinity: null where a number is unknown.
nlohmann::ordered_json number(double value);
// 2026-11-28T16:14:49Z
std::string utc(std::time_t time);
nlohmann::ordered_json ends(const Interval& interval);  // [lo, hi]

// Where a bin's middle lies among the n tokens of a window.
double mid_share(const MaskedBin& bin, std::int64_t n);
// by_masked as points of docs/compare-format.md.
nlohmann::ordered_json points(const std::vector<MaskedBin>& bins);

}  // namespace masque
