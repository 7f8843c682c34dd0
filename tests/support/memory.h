// How much memory a piece of work takes at most.
#pragma once

#include <malloc.h>

#include <cstddef>
#include <fstream>

#include "apps/machine.h"

namespace masque::test {

// Sanitizers keep what is freed, and shadow the rest: no count of memory means anything there.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kCountsMemory = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kCountsMemory = false;
#else
inline constexpr bool kCountsMemory = true;
#endif
#else
inline constexpr bool kCountsMemory = true;
#endif

// By how much the process grows above what it has now, at the most, while `work` runs (Linux).
template <class Work>
std::size_t peak_growth(Work work) {
  malloc_trim(0);                                               // what is free would hide growth
  std::ofstream("/proc/self/clear_refs") << "5" << std::flush;  // the peak is that of now
  const std::size_t before = process_memory().resident;
  work();
  const std::size_t peak = process_memory().peak;
  return peak > before ? peak - before : 0;
}

}  // namespace masque::test
