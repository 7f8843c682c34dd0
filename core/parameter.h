// Parameters in flat arenas: one for masters, one for gradients, so that clipping and AdamW are one
// launch each. Matrices come first: only they decay.
#pragma once

#include <deque>
#include <span>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/device.h"
#include "core/tensor.h"

namespace masque {

struct Parameter {
  std::string name;  // as in model.safetensors
  Shape shape;
  bool matrix =
      false;       // decays, and takes part in products (its compute copy is read); else a vector
  Tensor master;   // param_t, what AdamW writes and checkpoints hold
  Tensor grad;     // param_t, what backward accumulates into
  Tensor compute;  // activation type; the master's memory where the types are the same
};

class ParameterStore {
 public:
  explicit ParameterStore(Device device) : device_(device) {}
  ParameterStore(const ParameterStore&) = delete;
  ParameterStore& operator=(const ParameterStore&) = delete;

  // Declares a parameter. The reference stays valid; its tensors come with allocate().
  Parameter& add(const std::string& name, const Shape& shape, bool matrix);
  void allocate();
  void zero_grad();

  // A parameter's values, converted: (count) doubles to or from the host.
  void write(const Parameter& parameter, std::span<const double> values);
  // Of the parameter's values those from `first` on.
  void write(const Parameter& parameter, std::int64_t first, std::span<const double> values);
  std::vector<double> read(const Parameter& parameter) const;
  // The same from an arena laid out as the masters are, such as of moments.
  std::vector<double> read(const Parameter& parameter, const void* arena) const;

  std::deque<Parameter>& parameters() { return parameters_; }
  const std::deque<Parameter>& parameters() const { return parameters_; }
  std::int64_t count() const { return count_; }              // of all parameters, less padding
  std::int64_t arena_count() const { return arena_count_; }  // with the padding between them
  std::int64_t matrix_count() const { return matrix_count_; }
  void* masters() const { return masters_.data(); }
  void* grads() const { return grads_.data(); }
  void* computes() const { return computes_.data(); }        // null where masters serve
  std::int64_t offset_of(const Parameter& parameter) const;  // elements into the flat arenas
  const Device& device() const { return device_; }

 private:
  Device device_;
  std::deque<Parameter> parameters_;
  Memory masters_, grads_, computes_;
  std::int64_t count_ = 0, arena_count_ = 0, matrix_count_ = 0;
};

// What the parameters of a store are, kept on their device.
class ParameterCopy {
 public:
  explicit ParameterCopy(ParameterStore& store);
  void restore() const;  // to the bit

 private:
  ParameterStore& store_;
  Memory masters_, computes_;
};

}  // namespace masque
