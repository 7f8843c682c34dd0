#include "core/ops.h"
#include "tests/support/op_case.h"

namespace masque::test {
namespace {

constexpr double kF32Limit = 1e-7;

struct Sizes {
  std::int64_t B, T, NH, HS;
  std::int64_t first_position = 0;
};

OpCase rope_case(const Sizes& size) {
  const Shape shape{size.B, size.T, 3 * size.NH * size.HS};
  const auto n = static_cast<double>(shape.count());
  OpCase op;
  op.name = "rope";
  op.variant = fmt::format("B{} T{} NH{} HS{} first={}", size.B, size.T, size.NH, size.HS,
                           size.first_position);
  op.call = [=](OpRun& run) {
    run.output("out",
               rope(run.tape(), run.input("qkv", shape), size.NH, 10000.0, size.first_position));
  };
  op.f32_limit = kF32Limit;
  op.forward_work = {.activations = 2 * n * 2 / 3, .flops = 3 * n * 2 / 3};
  op.backward_work = op.forward_work;
  return op;
}

const Registration registration({
    rope_case({1, 1, 1, 2}),
    rope_case({2, 7, 3, 6, 5}),
    rope_case({1, 33, 2, 8}),
    rope_case({5, 67, 2, 32}),  // enough to be cut among threads
    timed(rope_case({32, 128, 4, 32})),
    timed_on_gpu(rope_case({64, 256, 6, 64})),
});

}  // namespace
}  // namespace masque::test
