// Bump allocation of tensors that live and die together: parameters, a training step, an inference.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/tensor.h"

namespace masque {

// Grows by chunks until reset(), which makes one chunk of the largest extent seen, so that the
// second step and all later ones allocate nothing and see the same addresses. After freeze(),
// growth is an Error: a captured step must never move.
class Arena {
 public:
  Arena(Device device, std::string name) : device_(device), name_(std::move(name)) {}

  // A tensor of `shape` with undefined contents, valid until reset().
  Tensor allocate(const Shape& shape, DType dtype);
  void* allocate_bytes(std::size_t bytes);

  void reset();
  void freeze() { frozen_ = true; }
  std::size_t high_water() const { return high_water_; }  // bytes
  const Device& device() const { return device_; }

 private:
  Device device_;
  std::string name_;
  std::vector<Memory> chunks_;
  std::size_t used_in_last_ = 0;
  std::size_t used_ = 0;
  std::size_t high_water_ = 0;
  bool frozen_ = false;
};

}  // namespace masque
