#include "apps/report/axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace masque::report {
namespace {

constexpr double kRoom = 0.04;       // of the width, at both ends
constexpr double kLargest = 1e15;    // that an axis is made for; 1 / kLargest, where it is of logs
constexpr double kNarrowest = 1e-9;  // of the numbers' size, or ticks could not be told apart

std::vector<double> linear_ticks(double lo, double hi, int most) {
  const double least = (hi - lo) / std::max(1, most);
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= least * (1 - 1e-9)) {
      step = factor * power;
      break;
    }
  }
  std::vector<double> ticks;
  const double slack = 1e-9 * (hi - lo);
  for (double k = std::ceil((lo - slack) / step); k * step <= hi + slack; ++k) {
    ticks.push_back(k * step);
  }
  return ticks;
}

std::vector<double> log_ticks(double lo, double hi, const std::vector<double>& factors) {
  std::vector<double> ticks;
  const int first = static_cast<int>(std::floor(std::log10(lo)));
  const int last = static_cast<int>(std::ceil(std::log10(hi)));
  for (int power = first; power <= last; ++power) {
    for (const double factor : factors) {
      const double tick = factor * std::pow(10.0, power);
      if (tick >= lo * (1 - 1e-9) && tick <= hi * (1 + 1e-9)) ticks.push_back(tick);
    }
  }
  return ticks;
}

}  // namespace

double Axis::at(double number) const {
  const double share = log ? (std::log(number) - std::log(lo)) / (std::log(hi) - std::log(lo))
                           : (number - lo) / (hi - lo);
  return from + share * (to - from);
}

std::vector<double> Axis::ticks(int most) const {
  if (!log) return linear_ticks(lo, hi, most);
  std::vector<double> ticks = log_ticks(lo, hi, {1, 2, 5});
  if (static_cast<int>(ticks.size()) > most) ticks = log_ticks(lo, hi, {1});
  while (static_cast<int>(ticks.size()) > std::max(2, most)) {  // every second power
    for (std::size_t k = 1; k < ticks.size(); ++k)
      ticks.erase(ticks.begin() + static_cast<long>(k));
  }
  return ticks.size() < 2 ? linear_ticks(lo, hi, most) : ticks;
}

Axis axis_around(const std::vector<double>& numbers, bool log) {
  Axis axis;
  axis.log = log;
  bool any = false;
  for (const double number : numbers) {
    const bool drawn = std::fabs(number) <= kLargest && (!log || number >= 1 / kLargest);
    if (!drawn) continue;  // NaN too
    axis.lo = any ? std::min(axis.lo, number) : number;
    axis.hi = any ? std::max(axis.hi, number) : number;
    any = true;
  }
  if (!any) return log ? Axis{1, 10, 0, 100, true} : Axis{};
  if (log) {
    const double room = std::max(std::pow(axis.hi / axis.lo, kRoom), 1.02);
    axis.lo /= room;
    axis.hi *= room;
    return axis;
  }
  const double size = std::max(std::fabs(axis.lo), std::fabs(axis.hi));
  const double room = axis.hi - axis.lo > kNarrowest * size
                          ? kRoom * (axis.hi - axis.lo)
                          : (size > 1 / kLargest ? 0.05 * size : 1.0);
  axis.lo -= room;
  axis.hi += room;
  return axis;
}

std::string tick_label(double tick) {
  struct Prefix {
    double size;
    const char* name;
  };
  for (const Prefix& prefix : {Prefix{1e18, "E"}, Prefix{1e15, "P"}, Prefix{1e12, "T"},
                               Prefix{1e9, "G"}, Prefix{1e6, "M"}, Prefix{1e3, "k"}}) {
    if (std::fabs(tick) >= prefix.size * (1 - 1e-9)) {
      return fmt::format("{:.4g}{}", tick / prefix.size, prefix.name);
    }
  }
  const double clean = std::fabs(tick) < 1e-12 ? 0 : tick;
  std::string label = fmt::format("{:.4g}", clean);
  if (label[0] == '-') label = "−" + label.substr(1);
  return label;
}

}  // namespace masque::report
