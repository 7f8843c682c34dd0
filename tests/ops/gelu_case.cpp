#include "core/ops.h"
#include "tests/support/op_case.h"

namespace masque::test {
namespace {

constexpr double kF32Limit = 7.5e-7;

OpCase gelu_case(const Shape& shape) {
  const auto n = static_cast<double>(shape.count());
  OpCase op;
  op.name = "gelu";
  op.variant = shape.to_string();
  op.call = [shape](OpRun& run) {
    run.output("out", gelu(run.tape(), run.input("x", shape, {.sd = 2})));
  };
  op.f32_limit = kF32Limit;
  op.forward_work = {.activations = 2 * n, .flops = 15 * n};
  op.backward_work = {.activations = 3 * n, .flops = 20 * n};
  return op;
}

const Registration registration({
    gelu_case({1, 1, 1}),
    gelu_case({2, 7, 13}),
    gelu_case({3, 33, 67}),
    gelu_case({5, 67, 67}),  // enough to be cut among threads
    timed(gelu_case({32, 128, 512})),
    timed_on_gpu(gelu_case({64, 256, 1536})),
    timed_on_gpu(gelu_case({16, 1024, 3072})),
});

}  // namespace
}  // namespace masque::test
