// Confidence intervals of 95%: moving-block bootstrap of a ratio, Student's t.
// Neighbouring windows of a text correlate, so whole blocks of windows are resampled; blocks wrap
// around the end, so that every window is drawn equally often.
// Künsch 1989, "The jackknife and the bootstrap for general stationary observations"; Politis and
// Romano 1992, "A circular block-resampling procedure for stationary data"
#pragma once

#include <cstdint>
#include <span>

namespace masque {

// Both ends NaN where the data cannot say (null in JSON).
struct Interval {
  double lo = 0, hi = 0;
};

// Percentile interval of Σ numerator / Σ denominator over W windows in text order: blocks of 32
// windows, of a quarter of the windows where there are fewer than 128. NaN where W < 2. The same
// (seed, W) draws the same blocks.
Interval moving_block_bootstrap(std::span<const double> numerator,
                                std::span<const std::int64_t> denominator, std::uint64_t seed);

// 97.5% point of Student's t with `degrees` ≥ 1 degrees of freedom (1.96 as they grow); within
// 0.01%.
double student_t(std::int64_t degrees);

}  // namespace masque
