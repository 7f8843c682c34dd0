#include "kernels/emulator/shared_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/backend.h"
#include "kernels/emulator/sanitizer.h"

namespace masque::emulator {
namespace {

constexpr std::size_t kAlignment = 16;  // what a 16-byte access needs; CUDA promises no more
constexpr std::size_t kRedzone = 64;
constexpr std::size_t kPieces = 64;  // room for the redzones of so many
constexpr int kNan = 0xff;           // four of them are a float NaN, two a bf16 NaN
constexpr int kMark = 0xa5;

std::size_t rounded(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

SharedMemory::~SharedMemory() {
  if (memory_ != nullptr) unpoison(memory_.get(), size_);
}

void SharedMemory::start(std::size_t dynamic_bytes, std::size_t limit) {
  const std::size_t size = limit + kPieces * (2 * kRedzone) + kAlignment;
  if (memory_ == nullptr || size_ != size) {
    if (memory_ != nullptr) unpoison(memory_.get(), size_);
    memory_ = std::make_unique<std::byte[]>(size);
    size_ = size;
  }
  poison(memory_.get(), size_);
  const auto address = reinterpret_cast<std::uintptr_t>(memory_.get());
  used_ = (kAlignment - address % kAlignment) % kAlignment;
  limit_ = limit;
  dynamic_limit_ = dynamic_bytes;
  fixed_bytes_ = dynamic_bytes_ = 0;
  fixed_.clear();
  dynamic_.clear();
}

SharedMemory::Piece SharedMemory::add(std::size_t bytes) {
  const std::size_t room = kRedzone + rounded(bytes) + kRedzone;
  if (used_ + room > size_)
    throw Error(fmt::format("more than {} pieces of shared memory", kPieces));
  std::byte* start = memory_.get() + used_;
  used_ += room;
  unpoison(start, room);
  std::memset(start, kMark, room);
  const Piece piece{start + kRedzone, bytes};
  std::memset(piece.data, kNan, bytes);
  poison(start, kRedzone);
  poison(piece.data + bytes, room - kRedzone - bytes);
  return piece;
}

void* SharedMemory::fixed(const void* site, std::size_t bytes) {
  Piece& piece = fixed_[site];
  if (piece.data == nullptr) {
    fixed_bytes_ += rounded(bytes);
    if (fixed_bytes_ + dynamic_limit_ > limit_) {
      throw Error(fmt::format("{} bytes of shared memory and {} dynamic: a block has {}",
                              fixed_bytes_, dynamic_limit_, limit_));
    }
    piece = add(bytes);
  }
  return piece.data;
}

void* SharedMemory::dynamic(std::size_t number, std::size_t bytes) {
  if (number < dynamic_.size()) {
    if (dynamic_[number].bytes != bytes) {
      throw Error(
          fmt::format("piece {} of dynamic shared memory: {} bytes for one thread, {} for another",
                      number, dynamic_[number].bytes, bytes));
    }
    return dynamic_[number].data;
  }
  dynamic_bytes_ += rounded(bytes);
  if (dynamic_bytes_ > dynamic_limit_) {
    throw Error(fmt::format("{} bytes of dynamic shared memory, but launched with {}",
                            dynamic_bytes_, dynamic_limit_));
  }
  return dynamic_.emplace_back(add(bytes)).data;
}

void SharedMemory::finish() {
  const auto check = [](const Piece& piece) {
    std::byte* start = piece.data - kRedzone;
    const std::size_t after = rounded(piece.bytes) - piece.bytes + kRedzone;
    unpoison(start, kRedzone + piece.bytes + after);
    const auto marked = [](std::byte value) { return value == std::byte{kMark}; };
    if (!std::all_of(start, start + kRedzone, marked)) {
      throw Error(fmt::format("wrote before a piece of {} bytes of shared memory", piece.bytes));
    }
    if (!std::all_of(piece.data + piece.bytes, piece.data + piece.bytes + after, marked)) {
      throw Error(fmt::format("wrote past a piece of {} bytes of shared memory", piece.bytes));
    }
  };
  for (const auto& [site, piece] : fixed_) check(piece);
  for (const Piece& piece : dynamic_) check(piece);
}

bool SharedMemory::holds(const void* pointer, std::size_t bytes) const {
  const auto* begin = static_cast<const std::byte*>(pointer);
  const auto inside = [&](const Piece& piece) {
    return begin >= piece.data && begin + bytes <= piece.data + piece.bytes;
  };
  return std::any_of(fixed_.begin(), fixed_.end(),
                     [&](const auto& entry) { return inside(entry.second); }) ||
         std::any_of(dynamic_.begin(), dynamic_.end(), inside);
}

}  // namespace masque::emulator
