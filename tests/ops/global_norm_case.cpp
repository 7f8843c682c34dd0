#include "core/tape.h"
#include "kernels/global_norm.h"
#include "tests/support/op_case.h"

namespace masque::test {
namespace {

constexpr double kF32Limit = 1e-14;

OpCase global_norm_case(std::int64_t n, double clip) {
  OpCase op;
  op.name = "global_norm";
  op.variant = fmt::format("n{} clip={}", n, clip);
  op.call = [=](OpRun& run) {
    const Tensor grad = run.buffer("grad", {n});
    const Tensor result = run.tape().arena().allocate({3}, DType::f64);
    run.tape().run("global_norm", [&](auto on) {
      using Real = typename decltype(on)::real;
      global_norm(on,
                  {.state = run.state(), .grad = grad.as<param_t<Real>>(), .clip = clip, .n = n});
    });
    const StepState state = run.read_state();
    write(run.device(), result,
          {state.grad_norm, state.clip_scale, static_cast<double>(state.finite)});
    run.output("state", result);
  };
  op.f32_limit = kF32Limit;
  op.forward_work = {.parameters = static_cast<double>(n), .flops = 2 * static_cast<double>(n)};
  return op;
}

const Registration registration({
    global_norm_case(1, 0),
    global_norm_case(13, 100),
    global_norm_case(6700, 1),
    global_norm_case(100003, 1),
    timed(global_norm_case(800000, 1)),
    timed_on_gpu(global_norm_case(10'700'000, 1)),
    timed_on_gpu(global_norm_case(124'400'000, 1)),
});

}  // namespace
}  // namespace masque::test
