// Ctrl-C and SIGTERM within a part: it is given up, and made again when the comparison goes on.
#pragma once

#include <cstdint>
#include <functional>

#include "apps/common.h"

namespace masque {

struct Interrupted {
  int signal = 0;
};

inline void stop_if_interrupted() {
  if (interrupt_signal() != 0) throw Interrupted{interrupt_signal()};
}

// For LikelihoodOptions::progress and the like: draws the bar, and stops where asked.
inline std::function<void(std::int64_t, std::int64_t)> interruptible(Progress& progress,
                                                                     const char* unit) {
  return [&progress, unit](std::int64_t done, std::int64_t /*total*/) {
    progress.update(done, unit);
    stop_if_interrupted();
  };
}

}  // namespace masque
