// The autograd tape: ops run as they are called and leave their backward behind; backward() walks
// them in reverse. Recording order is topological, so there is no graph to sort.
//
// The gradient rule: an activation has one consumer, so its gradient is written, once; parameters
// have many uses, so theirs are accumulated (+=).
//
// So the gradient of an activation lives, in the backward, from its consumer to its producer, and
// nowhere else. Seen from the forward that is from the op that makes it to the op that reads it:
// its memory is given, as ops are recorded, to activations that come later. After a backward only
// the gradients of the first activations are whole.
#pragma once

#include <functional>
#include <utility>
#include <variant>
#include <vector>

#include "core/arena.h"
#include "core/device.h"
#include "core/profile.h"
#include "core/tensor.h"

namespace masque {

class Tape {
 public:
  enum class Mode {
    training,   // activations have gradients, ops record their backward
    inference,  // neither
  };

  Tape(Arena& arena, Mode mode) : arena_(arena), mode_(mode) {}

  // A new activation of the device's activation type; in training with room for its gradient.
  Tensor activation(const Shape& shape);
  // One whose gradient is `other`'s memory: a sum passes its gradient on unchanged.
  Tensor activation_sharing_grad(const Tensor& other);
  // Row statistics, kept for a backward: no gradient of their own.
  Tensor statistic(const Shape& shape);
  // The same memory as a new activation, for ops that work in place (rope).
  Tensor renamed(const Tensor& tensor);

  // Marks `tensor` read by `op`. A second consumer is an Error: its gradient would overwrite the
  // first's.
  void consume(const Tensor& tensor, const char* op);
  bool consumed(const Tensor& tensor) const;

  // Runs kernel(On<…>) of `op` now; not where the arena only counts.
  template <class Kernel>
  void run(const char* op, Kernel&& kernel) {
    if (arena_.counts_only()) return;
    const TimedOp timed(op, Pass::forward);
    std::visit(std::forward<Kernel>(kernel), arena_.device());
  }
  // Keeps kernel(On<…>) for backward().
  template <class Kernel>
  void record(const char* op, Kernel kernel) {
    if (mode_ != Mode::training) return;
    release_read_grads();
    backward_.push_back([this, op, kernel = std::move(kernel)] {
      const TimedOp timed(op, Pass::backward);
      std::visit(kernel, arena_.device());
    });
  }

  void backward();  // runs what was recorded, last first, and forgets it
  bool training() const { return mode_ == Mode::training; }
  Arena& arena() { return arena_; }
  const Device& device() const { return arena_.device(); }

 private:
  // Memory of a gradient. released: read by the op that is being recorded, free once it is.
  struct Grad {
    void* memory;
    std::size_t bytes;
    enum { held, released, free } state;
  };

  Tensor named(Tensor tensor);
  void* take_grad(const Shape& shape, DType dtype);
  void set_grad(const void* memory, decltype(Grad::state) state);
  void release_read_grads();

  Arena& arena_;
  Mode mode_;
  std::vector<const char*> consumer_;  // by id; null: none yet
  std::vector<Grad> grads_;
  std::vector<std::function<void()>> backward_;
};

}  // namespace masque
