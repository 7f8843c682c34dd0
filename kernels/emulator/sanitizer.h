// What AddressSanitizer must be told: memory that nobody may touch, and changes of stack. Nothing
// without it.
#pragma once

#include <cstddef>

#ifdef MASQUE_SANITIZE
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace masque::emulator {

#ifdef MASQUE_SANITIZE

inline void poison(const void* memory, std::size_t bytes) {
  __asan_poison_memory_region(memory, bytes);
}
inline void unpoison(const void* memory, std::size_t bytes) {
  __asan_unpoison_memory_region(memory, bytes);
}

// A stack as AddressSanitizer knows it. leave() before the switch from here to there, arrive() as
// the first thing after it.
struct StackNote {
  void* fake = nullptr;
  const void* bottom = nullptr;
  std::size_t size = 0;
};
inline void leave(StackNote& here, const StackNote& there, bool for_good = false) {
  __sanitizer_start_switch_fiber(for_good ? nullptr : &here.fake, there.bottom, there.size);
}
inline void arrive(StackNote& here, StackNote* came_from = nullptr) {
  __sanitizer_finish_switch_fiber(here.fake, came_from == nullptr ? nullptr : &came_from->bottom,
                                  came_from == nullptr ? nullptr : &came_from->size);
}

#else

inline void poison(const void*, std::size_t) {}
inline void unpoison(const void*, std::size_t) {}

struct StackNote {
  const void* bottom = nullptr;
  std::size_t size = 0;
};
inline void leave(StackNote&, const StackNote&, bool = false) {}
inline void arrive(StackNote&, StackNote* = nullptr) {}

#endif

}  // namespace masque::emulator
