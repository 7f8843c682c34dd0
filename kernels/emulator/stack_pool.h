// Stacks of fibers, for boost::context.
#pragma once

#include <sys/mman.h>

#include <boost/context/stack_context.hpp>
#include <cstddef>
#include <vector>

#include "kernels/backend.h"
#include "kernels/emulator/sanitizer.h"

namespace masque::emulator {

constexpr std::size_t kStackBytes = std::size_t{256} << 10;

// Stacks are used again by the next block. Each has a page below it that stops an overflow.
class StackPool {
 public:
  StackPool() = default;
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;
  ~StackPool() {
    for (std::byte* stack : free_) munmap(stack - kGuard, kGuard + kStackBytes);
  }

  // The lowest address of kStackBytes.
  std::byte* take() {
    if (!free_.empty()) {
      std::byte* stack = free_.back();
      free_.pop_back();
      return stack;
    }
    void* memory = mmap(nullptr, kGuard + kStackBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw Error("out of memory: a stack of an emulated thread");
    mprotect(memory, kGuard, PROT_NONE);
    return static_cast<std::byte*>(memory) + kGuard;
  }
  void give_back(std::byte* stack) { free_.push_back(stack); }

 private:
  static constexpr std::size_t kGuard = 4096;
  std::vector<std::byte*> free_;
};

// As boost::context wants it.
struct PooledStack {
  StackPool* pool;
  StackNote* note;  // is told where the stack is
  boost::context::stack_context allocate() {
    note->bottom = pool->take();
    note->size = kStackBytes;
    boost::context::stack_context stack;
    stack.size = kStackBytes;
    stack.sp = static_cast<std::byte*>(const_cast<void*>(note->bottom)) + kStackBytes;
    return stack;
  }
  void deallocate(boost::context::stack_context& stack) {
    pool->give_back(static_cast<std::byte*>(stack.sp) - kStackBytes);
  }
};

}  // namespace masque::emulator
