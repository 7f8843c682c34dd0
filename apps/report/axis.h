// An axis of a plot: from numbers to pixels, and which numbers to write beside it.
#pragma once

#include <string>
#include <vector>

namespace masque::report {

struct Axis {
  double lo = 0, hi = 1;      // numbers at the ends, lo < hi; above 0 where log
  double from = 0, to = 100;  // pixels at lo and hi
  bool log = false;

  double at(double number) const;  // pixel
  // Multiples of 1, 2 or 5 times a power of ten between the ends, at most `most`; on a log axis
  // 1, 2, 5 times powers of ten or powers alone, and as a linear axis where that leaves under two.
  std::vector<double> ticks(int most) const;
};

// An axis that holds the numbers with a little room, of a width above 0 even for one number. Ones
// that are not finite, or not above 0 where log, do not count.
Axis axis_around(const std::vector<double>& numbers, bool log);

// 0.25, 40, 1.5M, 2P (SI prefixes from a thousand on); no more digits than the tick needs.
std::string tick_label(double tick);

}  // namespace masque::report
