// The sizes of a tensor: at most four, row-major, contiguous.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace masque {

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> sizes);

  int rank() const { return rank_; }
  std::int64_t operator[](int axis) const;  // negative: from the end
  std::int64_t count() const;               // elements; 1 for rank 0
  bool operator==(const Shape& other) const = default;
  std::string to_string() const;  // (8, 256, 512)

 private:
  std::array<std::int64_t, 4> sizes_{};
  int rank_ = 0;
};

}  // namespace masque
