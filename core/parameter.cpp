#include "core/parameter.h"

#include <algorithm>
#include <type_traits>

#include "core/check.h"
#include "core/out_of_memory.h"

namespace masque {
namespace {

constexpr std::int64_t kAlignment = 16;  // elements: 64 bytes of f32, 32 of bf16

std::int64_t padded(std::int64_t count) {
  return (count + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

Parameter& ParameterStore::add(const std::string& name, const Shape& shape, bool matrix) {
  CHECK(masters_.data() == nullptr, "parameter {}: added after allocate()", name);
  for (const Parameter& other : parameters_) {
    CHECK(other.name != name, "parameter {}: declared twice", name);
  }
  Parameter& parameter = parameters_.emplace_back();
  parameter.name = name;
  parameter.shape = shape;
  parameter.matrix = matrix;
  count_ += shape.count();
  arena_count_ += padded(shape.count());
  if (matrix) matrix_count_ += padded(shape.count());
  return parameter;
}

void ParameterStore::allocate() {
  const DType dtype = param_dtype(device_);
  const std::size_t bytes = bytes_of(arena_count_, dtype);
  masters_ = Memory(device_, bytes, "parameters", kSmallerModel);
  grads_ = Memory(device_, bytes, "gradients of parameters", kSmallerModel);
  const DType activation = activation_dtype(device_);
  if (activation != dtype) {
    computes_ = Memory(device_, bytes_of(arena_count_, activation),
                       fmt::format("parameters as {}", name_of(activation)), kSmallerModel);
  }

  std::int64_t next_matrix = 0;
  std::int64_t next_vector = matrix_count_;
  for (Parameter& parameter : parameters_) {
    std::int64_t& next = parameter.matrix ? next_matrix : next_vector;
    const std::size_t offset = bytes_of(next, dtype);
    parameter.master = {parameter.shape, dtype, masters_.data() + offset, nullptr, -1};
    parameter.grad = {parameter.shape, dtype, grads_.data() + offset, nullptr, -1};
    parameter.compute = parameter.master;
    if (activation != dtype) {
      const std::size_t compute_offset = bytes_of(next, activation);
      parameter.compute = {parameter.shape, activation, computes_.data() + compute_offset, nullptr,
                           -1};
    }
    next += padded(parameter.shape.count());
  }
}

void ParameterStore::zero_grad() {
  fill_zero(device_, grads_.data(), grads_.size());
}

void ParameterStore::write(const Parameter& parameter, std::span<const double> values) {
  CHECK(static_cast<std::int64_t>(values.size()) == parameter.shape.count(),
        "parameter {}: {} values for shape {}", parameter.name, values.size(), parameter.shape);
  write(parameter, 0, values);
}

void ParameterStore::write(const Parameter& parameter, std::int64_t first,
                           std::span<const double> values) {
  const auto count = static_cast<std::int64_t>(values.size());
  CHECK(first >= 0 && first + count <= parameter.shape.count(),
        "parameter {}: values {} … {} for shape {}", parameter.name, first, first + count - 1,
        parameter.shape);
  std::visit(
      [&](auto on) {
        using Real = typename decltype(on)::real;
        using Param = param_t<Real>;
        const std::vector<Param> master(values.begin(), values.end());
        copy_to_device(device_, parameter.master.as<Param>() + first, master.data(),
                       master.size() * sizeof(Param));
        if constexpr (!std::is_same_v<Real, Param>) {
          std::vector<Real> compute(master.size());
          std::transform(master.begin(), master.end(), compute.begin(),
                         [](Param value) { return static_cast<Real>(value); });
          copy_to_device(device_, parameter.compute.as<Real>() + first, compute.data(),
                         compute.size() * sizeof(Real));
        }
      },
      device_);
}

std::vector<double> ParameterStore::read(const Parameter& parameter) const {
  return read(parameter, masters_.data());
}

std::vector<double> ParameterStore::read(const Parameter& parameter, const void* arena) const {
  return std::visit(
      [&](auto on) {
        using Param = param_t<typename decltype(on)::real>;
        std::vector<Param> values(static_cast<std::size_t>(parameter.shape.count()));
        copy_to_host(device_, values.data(),
                     static_cast<const Param*>(arena) + offset_of(parameter),
                     values.size() * sizeof(Param));
        return std::vector<double>(values.begin(), values.end());
      },
      device_);
}

std::int64_t ParameterStore::offset_of(const Parameter& parameter) const {
  const auto bytes = static_cast<std::byte*>(parameter.master.data) - masters_.data();
  return bytes / static_cast<std::int64_t>(size_of(parameter.master.dtype));
}

ParameterCopy::ParameterCopy(ParameterStore& store) : store_(store) {
  const std::int64_t count = store.arena_count();
  const Device& device = store.device();
  masters_ = Memory(device, bytes_of(count, param_dtype(device)), "a copy of the weights");
  copy_on_device(device, masters_.data(), store.masters(), masters_.size());
  if (store.computes() == nullptr) return;
  computes_ = Memory(device, bytes_of(count, activation_dtype(device)), "a copy of the weights");
  copy_on_device(device, computes_.data(), store.computes(), computes_.size());
}

void ParameterCopy::restore() const {
  copy_on_device(store_.device(), store_.masters(), masters_.data(), masters_.size());
  copy_on_device(store_.device(), store_.computes(), computes_.data(), computes_.size());
}

}  // namespace masque
