// The checks that every op case gets: its gradient against finite differences, f32 against f64,
// bits that do not depend on the run or the number of threads, and what reaches what.
// docs/numerics.md says how each works and why its limit is what it is.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/support/op_case.h"

namespace masque::test {

// ‖a − n‖ / max(‖a‖, ‖n‖, 1e-8) of a tensor's analytic and numeric gradient stays at or below it.
constexpr double kGradientLimit = 1e-7;
// No case's f32_limit is above it.
constexpr double kLargestF32Limit = 1e-5;

struct Finding {
  std::string name, variant;  // of the case
  std::string check;          // gradient | f32 | bf16 | bits | mask
  std::string tensor;         // or the type, for bits
  double error = 0;           // relative; bits and mask: the number of wrong elements or positions
  double limit = 0;

  bool passed() const { return error <= limit; }  // NaN fails
};

// f64 against fourth-order central differences: every activation and parameter whose gradient the
// op writes. Element by element for small tensors, along 20 random directions for large ones.
std::vector<Finding> check_gradient(const OpCase& op);

// Outputs and gradients on `device`, f32 or bf16, against the CPU's f64 from the same operands.
// f32: within the case's limit. bf16: docs/numerics.md, "bf16".
std::vector<Finding> check_accuracy(const OpCase& op, const Device& device);

// Outputs and gradients on `device`, bit for bit, over `runs` runs, each after prepare(run).
Finding check_same_bits(const OpCase& op, const Device& device, int runs,
                        const std::function<void(int run)>& prepare);

// The same on the CPU: two runs, 1, 2 and 3 threads; outputs also without a tape.
std::vector<Finding> check_bits(const OpCase& op);

// Moving position j of the dependence's input moves exactly the outputs that j reaches. Empty for a
// case without one.
std::vector<Finding> check_mask(const OpCase& op);

std::vector<Finding> check_all(const OpCase& op);

}  // namespace masque::test
