#include <cmath>

#include "core/ops.h"
#include "tests/support/loss_inputs.h"
#include "tests/support/op_case.h"

namespace masque::test {
namespace {

constexpr double kF32Limit = 1e-6;
// Rounded in bf16 on the way: the gradient of the logits, and, where the kernel is not fused, they.
constexpr double kBf16Limit = 8e-3;

struct Sizes {
  std::int64_t B, T, C, V;
  bool excluded;  // entries 0 … 2 are never targets
};

OpCase classifier_loss_case(const Sizes& size) {
  const auto N = static_cast<double>(size.B * size.T), C = static_cast<double>(size.C),
             V = static_cast<double>(size.V);
  OpCase op;
  op.name = "classifier_loss";
  op.variant = fmt::format("{} V{}{}", Shape({size.B, size.T, size.C}).to_string(), size.V,
                           size.excluded ? " excluded" : "");
  op.call = [size](OpRun& run) {
    const double sd = 2 / std::sqrt(static_cast<double>(size.C));  // logits: 2
    Parameter& head = run.parameter("head", {size.V, size.C}, {.sd = sd});
    const LossResult result = classifier_loss(
        run.tape(), run.input("hidden", {size.B, size.T, size.C}), head,
        loss_inputs(run, {size.B, size.T}, size.V, size.excluded), {.loss = run.loss()});
    run.output("nll", result.nll);
    // In parts bf16 rounds the logits, and what was the largest may be one of two.
    const bool fused = size.C % 16 == 0 && size.V <= 256;
    if (fused) run.output("correct", result.correct);
  };
  op.f32_limit = kF32Limit;
  op.bf16_limit = kBf16Limit;
  // Two positions of three weigh; the gradients of the others are 0, and written too. Forward
  // writes the gradients of hidden and of the logits, backward that of head.
  op.forward_work = {.activations = N * C * 5 / 3 + N * V + V * C,
                     .parameters = N * 2,
                     .integers = N * 2,
                     .flops = (4 * C + 5) * N * V * 2 / 3};
  op.backward_work = {
      .activations = (C + V) * N, .parameters = 2 * V * C, .flops = 2 * N * C * V * 2 / 3};
  return op;
}

const Registration registration({
    classifier_loss_case({1, 1, 1, 1, false}),
    classifier_loss_case({2, 7, 13, 11, true}),
    classifier_loss_case({1, 37, 16, 5, false}),
    classifier_loss_case({3, 33, 48, 69, true}),
    classifier_loss_case({2, 5, 16, 259, true}),
    classifier_loss_case({5, 67, 67, 67, true}),  // enough to be cut among threads
    timed(classifier_loss_case({32, 128, 128, 69, true})),
    timed(classifier_loss_case({64, 256, 384, 69, true})),
});

}  // namespace
}  // namespace masque::test
