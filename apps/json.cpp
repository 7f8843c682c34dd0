#include "apps/json.h"

#include <fmt/chrono.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace masque {

using Json = nlohmann::ordered_json;

Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

std::string utc(std::time_t time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(time));
}

Json ends(const Interval& interval) {
  return {number(interval.lo), number(interval.hi)};
}

double mid_share(const MaskedBin& bin, std::int64_t n) {
  return static_cast<double>(bin.lo + bin.hi) / static_cast<double>(2 * n);
}

Json points(const std::vector<MaskedBin>& bins) {
  Json json = Json::array();
  for (const MaskedBin& bin : bins) {
    json.push_back({{"masked", {bin.lo, bin.hi}},
                    {"share", mid_share(bin, bins.back().hi)},
                    {"nats", number(bin.nats)}});
  }
  return json;
}

}  // namespace masque
