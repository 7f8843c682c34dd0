// Host bytes on their way to a device that is not waited for: two buffers in turn, pinned on a GPU,
// so that one is filled while the other travels.
#pragma once

#include <array>
#include <cstddef>

#include "core/device.h"

struct CUevent_st;  // CUDA's: a cudaEvent_t points to one

namespace masque {

class Upload {
 public:
  Upload(Device device, std::size_t bytes);
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;
  ~Upload();

  // The buffer to fill next. Waits, if it must, for what it last carried.
  std::byte* buffer();
  // Copies it to `to`, in the order of the device's work, and turns to the other.
  void send(void* to);

 private:
  struct Slot {
    std::byte* bytes = nullptr;
    CUevent_st* sent = nullptr;  // on a GPU
  };

  Device device_;
  std::size_t size_;
  std::array<Slot, 2> slots_;
  std::size_t next_ = 0;
};

}  // namespace masque
