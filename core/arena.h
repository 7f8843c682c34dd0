// Bump allocation of tensors that live and die together: parameters, a training step, an inference.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/tensor.h"

namespace masque {

// Grows by chunks until reset(), which makes one chunk of the largest extent seen, so that the
// second step and all later ones allocate nothing and see the same addresses; all do after
// reserve() of what is needed. After freeze(), whatever would move memory is an Error: a captured
// step must stay where it is.
class Arena {
 public:
  // mend: what to change where memory runs out.
  Arena(Device device, std::string name, std::string mend = "free some memory")
      : device_(device), name_(std::move(name)), mend_(std::move(mend)) {}
  // One that takes no memory and only counts how much would be needed: on it ops run no kernels,
  // and addresses may not be read.
  static Arena counting(Device device);

  // A tensor of `shape` with undefined contents, valid until reset().
  Tensor allocate(const Shape& shape, DType dtype);
  void* allocate_bytes(std::size_t bytes);

  void reserve(std::size_t bytes);  // of an arena that holds nothing
  void reset();
  void freeze() { frozen_ = true; }
  std::size_t high_water() const { return high_water_; }  // bytes
  const Device& device() const { return device_; }
  bool counts_only() const { return counts_only_; }

 private:
  Device device_;
  std::string name_, mend_;
  std::vector<Memory> chunks_;
  std::size_t used_in_last_ = 0;
  std::size_t used_ = 0;
  std::size_t high_water_ = 0;
  bool frozen_ = false, counts_only_ = false;
};

}  // namespace masque
