#include "core/ops.h"
#include "tests/support/op_case.h"
#include "tests/support/random.h"

namespace masque::test {
namespace {

constexpr double kF32Limit = 2e-6;

struct Sizes {
  std::int64_t B, T, V;
  bool excluded;  // entries 0 … 2 are never targets
};

// Every third position weighs nothing, as an unmasked one.
std::vector<double> loss_weights(std::int64_t count) {
  std::vector<double> weights = normals(11, count);
  for (std::size_t index = 0; index < weights.size(); ++index) {
    weights[index] = index % 3 == 1 ? 0 : 0.1 + weights[index] * weights[index];
  }
  return weights;
}

LossInputs loss_inputs(OpRun& run, const Sizes& size) {
  const Shape shape{size.B, size.T};
  LossInputs inputs;
  inputs.targets = run.integers(shape, integers(13, shape.count(), size.excluded ? 3 : 0,
                                                static_cast<std::int32_t>(size.V) - 1));
  inputs.weights = run.buffer(shape, loss_weights(shape.count()));
  if (size.excluded) {
    std::vector<std::uint8_t> excluded(static_cast<std::size_t>(size.V), 0);
    excluded[0] = excluded[1] = excluded[2] = 1;
    inputs.excluded = run.bytes(excluded);
  }
  return inputs;
}

OpCase masked_cross_entropy_case(const Sizes& size) {
  const auto n = static_cast<double>(size.B * size.T * size.V);
  OpCase op;
  op.name = "masked_cross_entropy";
  op.variant = fmt::format("{}{}", Shape({size.B, size.T, size.V}).to_string(),
                           size.excluded ? " excluded" : "");
  op.call = [size](OpRun& run) {
    const Tensor logits = run.input("logits", {size.B, size.T, size.V}, {.sd = 2});
    const LossResult result =
        masked_cross_entropy(run.tape(), logits, loss_inputs(run, size), {.loss = run.loss()});
    run.output("nll", result.nll);
    run.output("correct", result.correct);
  };
  op.f32_limit = kF32Limit;
  // Two positions of three weigh; the gradient of the others is 0, and written too.
  op.forward_work = {.activations = n * 5 / 3, .flops = 5 * n * 2 / 3};
  return op;
}

// The head and its loss as the models run them: the gradient takes the logits' memory.
OpCase head_case(std::int64_t C, const Sizes& size) {
  OpCase op = masked_cross_entropy_case(size);
  op.variant += fmt::format(" after linear C{}", C);
  op.call = [=](OpRun& run) {
    Parameter& weight = run.parameter("weight", {size.V, C});
    const Tensor hidden = run.input("hidden", {size.B, size.T, C});
    const Tensor logits = linear(run.tape(), hidden, weight, nullptr, true);
    const LossResult result =
        masked_cross_entropy(run.tape(), logits, loss_inputs(run, size), {.loss = run.loss()});
    run.output("nll", result.nll);
  };
  return op;
}

const Registration registration({
    masked_cross_entropy_case({1, 1, 1, false}),
    masked_cross_entropy_case({2, 7, 13, false}),
    masked_cross_entropy_case({2, 7, 13, true}),
    masked_cross_entropy_case({3, 33, 67, true}),
    masked_cross_entropy_case({5, 67, 67, true}),  // enough to be cut among threads
    head_case(13, {2, 7, 11, true}),
    head_case(67, {3, 33, 67, true}),
    timed(masked_cross_entropy_case({32, 128, 69, true})),
    timed_on_gpu(masked_cross_entropy_case({64, 256, 69, true})),
    timed_on_gpu(masked_cross_entropy_case({4, 1024, 50304, true})),
});

}  // namespace
}  // namespace masque::test
