// The orders in which an emulated device runs its threads, for tests; on a real GPU, where chance
// has the say, nothing but repetition.
#pragma once

#ifdef MASQUE_EMULATE
#include "kernels/emulator/runtime.h"
#endif

namespace masque::test {

inline constexpr int kThreadOrders = 4;  // forward, reverse, two random ones

inline void set_thread_order(int which) {
#ifdef MASQUE_EMULATE
  emulator::Settings& settings = emulator::settings();
  settings.order = which == 0   ? emulator::Order::forward
                   : which == 1 ? emulator::Order::reverse
                                : emulator::Order::random;
  settings.seed = static_cast<std::uint64_t>(which);
  settings.copies_land_early = which % 2 == 1;
#else
  static_cast<void>(which);
#endif
}

#ifdef MASQUE_EMULATE
// Streams of an emulated device run when they are waited for, and not before.
struct Deferred {
  Deferred() { emulator::settings().deferred = true; }
  Deferred(const Deferred&) = delete;
  Deferred& operator=(const Deferred&) = delete;
  ~Deferred() {
    cudaDeviceSynchronize();
    emulator::settings().deferred = false;
  }
};
#endif

}  // namespace masque::test
