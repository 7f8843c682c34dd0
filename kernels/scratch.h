// Memory that a CPU kernel works in and that stays from call to call, so that a training step
// allocates nothing.
#pragma once

#include <cstddef>

namespace masque {

// Who uses it: two that are in use at the same time have names of their own.
enum class Scratch { gemm_a, gemm_b, attention, classifier, rows, sums };

// At least `bytes`, aligned to 64, with arbitrary content: the same memory at each call of this
// thread and name, until more is asked for.
std::byte* scratch(Scratch name, std::size_t bytes);

template <class Value>
Value* scratch_of(Scratch name, long long count) {
  return reinterpret_cast<Value*>(scratch(name, static_cast<std::size_t>(count) * sizeof(Value)));
}

}  // namespace masque
