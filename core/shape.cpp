#include "core/shape.h"

#include "core/check.h"

namespace masque {

Shape::Shape(std::initializer_list<std::int64_t> sizes) {
  CHECK(sizes.size() <= sizes_.size(), "shape: rank {} is above {}", sizes.size(), sizes_.size());
  for (const std::int64_t size : sizes) {
    CHECK(size >= 0, "shape: size {} is negative", size);
    sizes_[rank_++] = size;
  }
}

std::int64_t Shape::operator[](int axis) const {
  const int index = axis < 0 ? axis + rank_ : axis;
  CHECK(index >= 0 && index < rank_, "shape: axis {} of {}", axis, to_string());
  return sizes_[index];
}

std::int64_t Shape::count() const {
  std::int64_t product = 1;
  for (int axis = 0; axis < rank_; ++axis) product *= sizes_[axis];
  return product;
}

std::string Shape::to_string() const {
  std::string text = "(";
  for (int axis = 0; axis < rank_; ++axis) {
    text += (axis > 0 ? ", " : "") + std::to_string(sizes_[axis]);
  }
  return text + ")";
}

}  // namespace masque
