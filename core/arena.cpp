#include "core/arena.h"

#include <algorithm>

#include "core/check.h"

namespace masque {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kSmallestChunk = std::size_t{1} << 20;

}  // namespace

Arena Arena::counting(Device device) {
  Arena arena(device, "counting");
  arena.counts_only_ = true;
  return arena;
}

Tensor Arena::allocate(const Shape& shape, DType dtype) {
  Tensor tensor;
  tensor.shape = shape;
  tensor.dtype = dtype;
  tensor.data = allocate_bytes(bytes_of(shape.count(), dtype));
  return tensor;
}

void* Arena::allocate_bytes(std::size_t bytes) {
  bytes = (std::max<std::size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
  if (counts_only_) {
    // An address to tell tensors apart by; nobody reads or writes there.
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    void* const address = reinterpret_cast<void*>(kAlignment + used_);
    used_ += bytes;
    high_water_ = std::max(high_water_, used_);
    return address;
  }
  if (chunks_.empty() || used_in_last_ + bytes > chunks_.back().size()) {
    CHECK(!frozen_,
          "arena {}: {} bytes more than the {} of the first step, but a captured step cannot grow",
          name_, bytes, high_water_);
    chunks_.emplace_back(device_, std::max(bytes, kSmallestChunk), name_, mend_);
    used_in_last_ = 0;
  }
  void* result = chunks_.back().data() + used_in_last_;
  used_in_last_ += bytes;
  used_ += bytes;
  high_water_ = std::max(high_water_, used_);
  return result;
}

void Arena::reserve(std::size_t bytes) {
  CHECK(used_ == 0, "arena {}: reserve after {} bytes were given", name_, used_);
  if (chunks_.size() == 1 && chunks_[0].size() >= bytes) return;
  CHECK(!frozen_, "arena {}: reserving {} bytes would move what a captured step reads", name_,
        bytes);
  chunks_.clear();
  chunks_.emplace_back(device_, bytes, name_, mend_);
}

void Arena::reset() {
  if (chunks_.size() > 1) {
    CHECK(!frozen_, "arena {}: a reset of {} chunks would move what a captured step reads", name_,
          chunks_.size());
    chunks_.clear();
    chunks_.emplace_back(device_, high_water_, name_, mend_);
  }
  used_in_last_ = 0;
  used_ = 0;
}

}  // namespace masque
