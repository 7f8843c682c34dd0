#include "core/ops.h"
#include "tests/support/loss_inputs.h"
#include "tests/support/op_case.h"

namespace masque::test {
namespace {

constexpr double kF32Limit = 5e-7;  // a GPU's exponentials are good to 2 ulp

struct Sizes {
  std::int64_t B, T, V;
  bool excluded;  // entries 0 … 2 are never targets
};

OpCase masked_cross_entropy_case(const Sizes& size) {
  const auto n = static_cast<double>(size.B * size.T * size.V);
  OpCase op;
  op.name = "masked_cross_entropy";
  op.variant = fmt::format("{}{}", Shape({size.B, size.T, size.V}).to_string(),
                           size.excluded ? " excluded" : "");
  op.call = [size](OpRun& run) {
    const Tensor logits = run.input("logits", {size.B, size.T, size.V}, {.sd = 2});
    const LossResult result = masked_cross_entropy(
        run.tape(), logits, loss_inputs(run, {size.B, size.T}, size.V, size.excluded),
        {.loss = run.loss()});
    run.output("nll", result.nll);
    run.output("correct", result.correct);
  };
  op.f32_limit = kF32Limit;
  // Two positions of three weigh; the gradient of the others is 0, and written too.
  op.forward_work = {.activations = n * 5 / 3, .flops = 5 * n * 2 / 3};
  return op;
}

const Registration registration({
    masked_cross_entropy_case({1, 1, 1, false}),
    masked_cross_entropy_case({2, 7, 13, false}),
    masked_cross_entropy_case({2, 7, 13, true}),
    masked_cross_entropy_case({3, 33, 67, true}),
    masked_cross_entropy_case({5, 67, 67, true}),  // enough to be cut among threads
    timed(masked_cross_entropy_case({32, 128, 69, true})),
    timed_on_gpu(masked_cross_entropy_case({64, 256, 69, true})),
    timed_on_gpu(masked_cross_entropy_case({4, 1024, 50304, true})),
});

}  // namespace
}  // namespace masque::test
