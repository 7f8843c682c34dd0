#include "core/ops.h"
#include "tests/support/op_case.h"
#include "tests/support/random.h"

namespace masque::test {
namespace {

constexpr double kF32Limit = 1e-7;

struct Sizes {
  std::int64_t B, T, C, V;
  bool positions;
  std::int64_t first_position = 0;
};

OpCase embedding_case(const Sizes& size) {
  const auto values = static_cast<double>(size.B * size.T * size.C);
  OpCase op;
  op.name = "embedding";
  op.variant = fmt::format("B{} T{} C{} V{}{}", size.B, size.T, size.C, size.V,
                           size.positions ? fmt::format(" wpe+{}", size.first_position) : "");
  op.call = [size](OpRun& run) {
    const Tensor tokens = run.integers(
        {size.B, size.T}, integers(7, size.B * size.T, 0, static_cast<std::int32_t>(size.V) - 1));
    Parameter& wte = run.parameter("wte", {size.V, size.C});
    Parameter* wpe = size.positions
                         ? &run.parameter("wpe", {size.first_position + size.T + 2, size.C})
                         : nullptr;
    run.output("out", embedding(run.tape(), tokens, wte, wpe, size.first_position));
  };
  op.f32_limit = kF32Limit;
  const auto N = static_cast<double>(size.B * size.T);
  const auto rows = static_cast<double>(size.V + (size.positions ? size.T : 0));
  const double tables = rows * static_cast<double>(size.C);
  op.forward_work = {.activations = values, .parameters = tables, .integers = N, .flops = values};
  op.backward_work = {
      .activations = values, .parameters = 2 * tables, .integers = N, .flops = 2 * values};
  return op;
}

const Registration registration({
    embedding_case({1, 1, 1, 1, false}),
    embedding_case({2, 7, 13, 5, true}),
    embedding_case({2, 7, 13, 11, true, 3}),
    embedding_case({3, 33, 7, 67, false}),
    embedding_case({5, 67, 67, 13, true}),  // every token many times, cut among threads
    timed(embedding_case({32, 128, 128, 69, true})),
    timed_on_gpu(embedding_case({64, 256, 384, 69, true})),
    timed_on_gpu(embedding_case({16, 1024, 768, 50304, true})),
});

}  // namespace
}  // namespace masque::test
