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
  if (training()) tensor.grad = take_grad(shape, tensor.dtype);
  return named(tensor);
}

// The smallest free piece that is large enough, else a new one.
void* Tape::take_grad(const Shape& shape, DType dtype) {
  const std::size_t bytes = bytes_of(shape.count(), dtype);
  Grad* best = nullptr;
  for (Grad& grad : grads_) {
    const bool fits = grad.state == Grad::free && grad.bytes >= bytes;
    if (fits && (best == nullptr || grad.bytes < best->bytes)) best = &grad;
  }
  if (best == nullptr) {
    best = &grads_.emplace_back(Grad{arena_.allocate(shape, dtype).data, bytes, Grad::held});
  }
  best->state = Grad::held;
  return best->memory;
}

void Tape::set_grad(const void* memory, decltype(Grad::state) state) {
  for (Grad& grad : grads_) {
    if (grad.memory == memory) grad.state = state;
  }
}

void Tape::release_read_grads() {
  for (Grad& grad : grads_) {
    if (grad.state == Grad::released) grad.state = Grad::free;
  }
}

Tensor Tape::activation_sharing_grad(const Tensor& other) {
  Tensor tensor = arena_.allocate(other.shape, other.dtype);
  tensor.grad = other.grad;
  set_grad(tensor.grad, Grad::held);
  return named(tensor);
}

Tensor Tape::statistic(const Shape& shape) {
  return arena_.allocate(shape, param_dtype(device()));
}

Tensor Tape::renamed(const Tensor& tensor) {
  set_grad(tensor.grad, Grad::held);
  return named(tensor);
}

void Tape::consume(const Tensor& tensor, const char* op) {
  if (tensor.id < 0) return;
  const char*& consumer = consumer_.at(static_cast<std::size_t>(tensor.id));
  CHECK(consumer == nullptr,
        "{}: its input {} is already read by {}; an activation has one consumer", op, tensor.shape,
        consumer);
  consumer = op;
  set_grad(tensor.grad, Grad::released);
}

bool Tape::consumed(const Tensor& tensor) const {
  return tensor.id >= 0 && consumer_.at(static_cast<std::size_t>(tensor.id)) != nullptr;
}

void Tape::backward() {
  for (auto step = backward_.rbegin(); step != backward_.rend(); ++step) (*step)();
  backward_.clear();
}

}  // namespace masque
