// Dropout inside a CUDA kernel: residual_dropout's own, and the one fused with the norms.
#pragma once

#include "kernels/gpu.h"
#include "kernels/philox.h"
#include "kernels/step_state.h"

namespace masque {

// What a launch knows of it, worked out on the host.
struct DropoutPlan {
  const StepState* state;  // null: everything is kept
  std::uint32_t stream;
  std::uint32_t keep_from;  // the smallest word of an element that is kept
  float scale;
  std::int64_t E;  // elements of a row
};

// args: of residual_dropout, forward or backward.
template <class Args>
DropoutPlan dropout_plan(const Args& args) {
  return {.state = args.p > 0 ? args.state : nullptr,
          .stream = args.stream,
          .keep_from = static_cast<std::uint32_t>(threshold(args.p)),
          .scale = static_cast<float>(1 / (1 - args.p)),
          .E = args.E};
}

// What a thread knows of it: elements of one row, from number `first` of (B,E) on.
class DropoutDraw {
 public:
  __device__ DropoutDraw(const DropoutPlan& plan, std::int64_t first) : plan_(plan) {
    if (plan.state == nullptr) return;
    const std::int64_t b = first / plan.E;
    first_ = first - b * plan.E;
    seed_ = plan.state->seed;
    step_ = plan.state->step;
    row_ = plan.state->first_row + static_cast<std::uint32_t>(b);
  }

  // For values of elements first + offset, … Where Width is a multiple of 4, so is their number in
  // the row.
  template <int Width>
  __device__ __forceinline__ void apply(std::int64_t offset, float (&values)[Width]) const {
    static_assert(Width == 1 || Width % 4 == 0);
    if (plan_.state == nullptr) return;
    const auto e = static_cast<std::uint64_t>(first_ + offset);
    const auto keep = [&](float value, std::uint32_t word) {
      return word >= plan_.keep_from ? value * plan_.scale : 0.0f;
    };
    if constexpr (Width == 1) {
      values[0] = keep(values[0], philox_word(seed_, plan_.stream, step_, row_, e));
    } else {
      for (int i = 0; i < Width; i += 4) {
        const auto counter = static_cast<std::uint32_t>((e + i) / 4);
        const auto words = philox(seed_, {counter, row_, step_, plan_.stream});
        for (int j = 0; j < 4; ++j) values[i + j] = keep(values[i + j], words[j]);
      }
    }
  }

 private:
  const DropoutPlan& plan_;
  std::int64_t first_ = 0;
  std::uint64_t seed_ = 0;
  std::uint32_t step_ = 0, row_ = 0;
};

}  // namespace masque
