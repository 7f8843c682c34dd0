// The CPU's threads: how many, and independent calls on them.
#pragma once

#include <cstdint>
#include <functional>

namespace masque {

// Number of CPU threads from here on; 0 leaves the default (OMP_NUM_THREADS, else all cores).
void set_threads(int threads);
int max_threads();

// Calls run(i, thread) for each i below `count`, where thread < max_threads() tells apart calls at
// the same time. At least as many calls as threads are spread over the threads, and the ops of a
// call stay on its own; fewer come one after another, their ops on all threads. What the first
// failing call threw is thrown once all have ended.
void share_out(std::int64_t count, const std::function<void(std::int64_t i, int thread)>& run);

}  // namespace masque
