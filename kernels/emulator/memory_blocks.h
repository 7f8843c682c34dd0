// What cudaMalloc or cudaMallocHost gave out, full of NaN; under AddressSanitizer it can be hidden
// from the host.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>
#include <new>

#include "kernels/backend.h"
#include "kernels/emulator/sanitizer.h"

namespace masque::emulator {

class MemoryBlocks {
 public:
  void* add(std::size_t bytes) {
    auto* memory = static_cast<std::byte*>(
        ::operator new (std::max<std::size_t>(bytes, 1), std::align_val_t{kAlignment}));
    std::memset(memory, kNan, bytes);
    blocks_[memory] = bytes;
    return memory;
  }
  void remove(void* memory, const char* call) {
    const auto found = blocks_.find(static_cast<std::byte*>(memory));
    if (found == blocks_.end()) {
      throw Error(fmt::format("{}: {} was not allocated here", call, memory));
    }
    unpoison(found->first, found->second);
    ::operator delete (found->first, std::align_val_t{kAlignment});
    blocks_.erase(found);
  }
  bool holds(const void* memory, std::size_t bytes) const {
    const auto* first = static_cast<const std::byte*>(memory);
    auto after = blocks_.upper_bound(const_cast<std::byte*>(first));
    if (after == blocks_.begin()) return false;
    const auto& [begin, size] = *std::prev(after);
    return first + bytes <= begin + size;
  }
  void hide() const {
    for (const auto& [begin, bytes] : blocks_) poison(begin, bytes);
  }
  void show() const {
    for (const auto& [begin, bytes] : blocks_) unpoison(begin, bytes);
  }
  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const auto& [begin, bytes] : blocks_) sum += bytes;
    return sum;
  }

 private:
  static constexpr std::size_t kAlignment = 256;
  static constexpr int kNan = 0xff;  // four of them are a float NaN, two a bf16 NaN

  std::map<std::byte*, std::size_t> blocks_;
};

}  // namespace masque::emulator
