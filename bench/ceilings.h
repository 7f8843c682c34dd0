// What the machine can do at best, measured: no op is faster than both allow.
#pragma once

#include "bench/timer.h"

namespace masque::bench {

struct Ceilings {
  double copy = 0;     // bytes a second, read and written, of a long copy
  double product = 0;  // flops a second of a large matrix product in the device's type
};
// Takes about two seconds.
Ceilings measure_ceilings(const Device& device);

}  // namespace masque::bench
