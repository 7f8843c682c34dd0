#include "kernels/scratch.h"

#include <cstdlib>
#include <memory>
#include <string>

#include "kernels/backend.h"

namespace masque {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr int kNames = static_cast<int>(Scratch::sums) + 1;

struct Free {
  void operator()(std::byte* memory) const { std::free(memory); }
};

struct Piece {
  std::unique_ptr<std::byte, Free> memory;
  std::size_t size = 0;
};

}  // namespace

std::byte* scratch(Scratch name, std::size_t bytes) {
  thread_local Piece pieces[kNames];
  Piece& piece = pieces[static_cast<int>(name)];
  if (bytes > piece.size) {
    piece.memory.reset();
    piece.size = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    piece.memory.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, piece.size)));
    if (piece.memory == nullptr) {
      piece.size = 0;
      throw Error("out of memory: scratch of the kernels: " + std::to_string(bytes >> 20) +
                  " MiB are asked for: lower batch, context or --threads");
    }
  }
  return piece.memory.get();
}

}  // namespace masque
