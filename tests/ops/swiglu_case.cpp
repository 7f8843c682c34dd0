#include "core/ops.h"
#include "tests/support/op_case.h"

namespace masque::test {
namespace {

constexpr double kF32Limit = 2.1e-7;

OpCase swiglu_case(std::int64_t B, std::int64_t T, std::int64_t F) {
  const auto n = static_cast<double>(B * T * F);
  OpCase op;
  op.name = "swiglu";
  op.variant = Shape({B, T, 2 * F}).to_string();
  op.call = [=](OpRun& run) {
    run.output("out", swiglu(run.tape(), run.input("gate_up", {B, T, 2 * F}, {.sd = 2})));
  };
  op.f32_limit = kF32Limit;
  op.forward_work = {.activations = 3 * n, .flops = 10 * n};
  op.backward_work = {.activations = 5 * n, .flops = 15 * n};
  return op;
}

const Registration registration({
    swiglu_case(1, 1, 1),
    swiglu_case(2, 7, 13),
    swiglu_case(3, 33, 67),
    swiglu_case(5, 67, 67),  // enough to be cut among threads
    timed(swiglu_case(32, 128, 352)),
    timed_on_gpu(swiglu_case(64, 256, 1024)),
    timed_on_gpu(swiglu_case(16, 1024, 2048)),
});

}  // namespace
}  // namespace masque::test
