#include "core/tape.h"

#include "core/check.h"

namespace masque {

Tensor Tape::named(Tensor tensor) {
  tensor.id = static_cast<int>(consumer_.size());
  consumer_.push_back(nullptr);
  return tensor;
}

Tensor Tape::activation(const Shape& shape) {
  Tensor tensor = arena_.allocate(shape, activation_dtype(device()));
  if (training()) tensor.grad = arena_.allocate(shape, tensor.dtype).data;
  return named(tensor);
}

Tensor Tape::activation_sharing_grad(const Tensor& other) {
  Tensor tensor = arena_.allocate(other.shape, other.dtype);
  tensor.grad = other.grad;
  return named(tensor);
}

Tensor Tape::statistic(const Shape& shape) {
  return arena_.allocate(shape, param_dtype(device()));
}

Tensor Tape::renamed(const Tensor& tensor) {
  return named(tensor);
}

void Tape::consume(const Tensor& tensor, const char* op) {
  if (tensor.id < 0) return;
  const char*& consumer = consumer_.at(static_cast<std::size_t>(tensor.id));
  CHECK(consumer == nullptr,
        "{}: its input {} is already read by {}; an activation has one consumer", op, tensor.shape,
        consumer);
  consumer = op;
}

bool Tape::consumed(const Tensor& tensor) const {
  return tensor.id >= 0 && consumer_.at(static_cast<std::size_t>(tensor.id)) != nullptr;
}

void Tape::backward() {
  for (auto step = backward_.rbegin(); step != backward_.rend(); ++step) (*step)();
  backward_.clear();
}

}  // namespace masque
