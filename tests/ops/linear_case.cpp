#include "core/ops.h"
#include "tests/support/op_case.h"

namespace masque::test {
namespace {

constexpr double kF32Limit = 1.3e-6;

struct Sizes {
  std::int64_t N, IC, OC;
  bool bias;
};

OpCase linear_case(const Sizes& size) {
  const auto N = static_cast<double>(size.N), IC = static_cast<double>(size.IC),
             OC = static_cast<double>(size.OC);
  OpCase op;
  op.name = "linear";
  op.variant = fmt::format("N{} in{} out{}{}", size.N, size.IC, size.OC, size.bias ? " bias" : "");
  op.call = [size](OpRun& run) {
    Parameter& weight = run.parameter("weight", {size.OC, size.IC}, {.sd = 0.3});
    Parameter* bias = size.bias ? &run.parameter("bias", {size.OC}) : nullptr;
    run.output("out", linear(run.tape(), run.input("x", {1, size.N, size.IC}), weight, bias));
  };
  op.f32_limit = kF32Limit;
  op.forward_work = {.activations = N * IC + N * OC + OC * IC, .flops = 2 * N * IC * OC};
  op.backward_work = {.activations = 2 * N * IC + N * OC + OC * IC,
                      .parameters = 2 * OC * IC,
                      .flops = 4 * N * IC * OC};
  return op;
}

const Registration registration({
    linear_case({1, 1, 1, false}),
    linear_case({1, 13, 1, true}),
    linear_case({7, 1, 13, true}),
    linear_case({14, 13, 67, false}),
    linear_case({33, 67, 13, true}),
    linear_case({131, 40, 120, true}),
    linear_case({521, 67, 131, true}),  // several row blocks of the parallel product
    timed(linear_case({4096, 128, 384, true})),
    timed(linear_case({4096, 128, 512, true})),
    timed(linear_case({4096, 512, 128, true})),
    timed_on_gpu(linear_case({16384, 384, 1152, true})),
    timed_on_gpu(linear_case({16384, 384, 1536, true})),
    timed_on_gpu(linear_case({16384, 1536, 384, true})),
    timed_on_gpu(linear_case({16384, 768, 3072, true})),
});

}  // namespace
}  // namespace masque::test
