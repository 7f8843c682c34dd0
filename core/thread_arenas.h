// Memory for threads that run forwards of their own at the same time.
#pragma once

#include <deque>
#include <string>
#include <utility>

#include "core/arena.h"

namespace masque {

// An arena for each of them. `what` and `mend` are said where memory runs out.
class ThreadArenas {
 public:
  ThreadArenas(Device device, std::string what, std::string mend)
      : device_(device), what_(std::move(what)), mend_(std::move(mend)) {}

  // Before they are used by as many threads.
  void make(int threads) {
    while (std::ssize(arenas_) < threads) arenas_.emplace_back(device_, what_, mend_);
  }
  Arena& operator[](int thread) { return arenas_[static_cast<std::size_t>(thread)]; }
  const Device& device() const { return device_; }

 private:
  Device device_;
  std::string what_, mend_;
  std::deque<Arena> arenas_;  // an Arena does not move
};

}  // namespace masque
