// A block's shared memory: pieces between redzones. Under AddressSanitizer a touch of a redzone
// stops at its line; without it a write is found when the block ends.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <vector>

namespace masque::emulator {

class SharedMemory {
 public:
  ~SharedMemory();

  // An empty arena for a block that was launched with dynamic_bytes.
  void start(std::size_t dynamic_bytes, std::size_t limit);
  // Error where a redzone was written.
  void finish();

  // The same piece for every thread of the block that asks for it.
  void* fixed(const void* site, std::size_t bytes);
  void* dynamic(std::size_t number, std::size_t bytes);

  bool holds(const void* pointer, std::size_t bytes) const;  // within one piece

 private:
  struct Piece {
    std::byte* data = nullptr;
    std::size_t bytes = 0;
  };
  Piece add(std::size_t bytes);

  std::unique_ptr<std::byte[]> memory_;
  std::size_t size_ = 0, used_ = 0;  // with redzones
  std::size_t limit_ = 0, fixed_bytes_ = 0, dynamic_limit_ = 0, dynamic_bytes_ = 0;
  std::map<const void*, Piece> fixed_;
  std::vector<Piece> dynamic_;
};

}  // namespace masque::emulator
