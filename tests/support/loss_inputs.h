// What a loss is asked for and what each answer weighs, for op cases.
#pragma once

#include <vector>

#include "core/ops.h"
#include "tests/support/op_case.h"
#include "tests/support/random.h"

namespace masque::test {

// Targets in a vocabulary of V. Every third position weighs nothing, as an unmasked one. excluded:
// entries 0 … 2 are never targets.
inline LossInputs loss_inputs(OpRun& run, const Shape& shape, std::int64_t V, bool excluded) {
  std::vector<double> weights = normals(11, shape.count());
  for (std::size_t index = 0; index < weights.size(); ++index) {
    weights[index] = index % 3 == 1 ? 0 : 0.1 + weights[index] * weights[index];
  }
  LossInputs inputs;
  inputs.targets = run.integers(
      shape, integers(13, shape.count(), excluded ? 3 : 0, static_cast<std::int32_t>(V) - 1));
  inputs.weights = run.buffer(shape, weights);
  if (excluded) {
    std::vector<std::uint8_t> entries(static_cast<std::size_t>(V), 0);
    entries[0] = entries[1] = entries[2] = 1;
    inputs.excluded = run.bytes(entries);
  }
  return inputs;
}

}  // namespace masque::test
