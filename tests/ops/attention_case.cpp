#include "core/ops.h"
#include "kernels/philox.h"
#include "tests/support/op_case.h"

namespace masque::test {
namespace {

constexpr double kF32Limit = 1e-6;
// Tensor cores take weights rounded to bf16, and the backward reads an out rounded to bf16: more
// than one rounding. 1.5 times the largest error of a case, 2.9e-3. What attention in bf16 promises
// is in tests/gpu/attention_bf16_test.cpp.
constexpr double kBf16Limit = 4.4e-3;

struct Sizes {
  std::int64_t B, T, NH, HS;
};

struct Options {
  bool causal = false;
  std::vector<std::int32_t> lengths = {};  // empty: all of T
  double dropout = 0;
};

OpCase attention_case(const Sizes& size, const Options& options) {
  const auto width = static_cast<double>(size.NH * size.HS);
  const auto rows = static_cast<double>(size.B * size.T);
  OpCase op;
  op.name = "attention";
  op.variant =
      fmt::format("B{} T{} NH{} HS{} {}{}{}", size.B, size.T, size.NH, size.HS,
                  options.causal ? "causal" : "full", options.lengths.empty() ? "" : " lengths",
                  options.dropout > 0 ? fmt::format(" dropout={}", options.dropout) : "");
  op.call = [=](OpRun& run) {
    const Tensor qkv = run.input("qkv", {size.B, size.T, 3 * size.NH * size.HS});
    Tensor lengths;
    if (!options.lengths.empty()) lengths = run.integers({size.B}, options.lengths);
    const Dropout dropout{options.dropout, run.state(), stream_of(Purpose::attention, 1)};
    run.output("out", attention(run.tape(), qkv, size.NH, options.causal,
                                options.lengths.empty() ? nullptr : &lengths, dropout));
  };
  op.f32_limit = kF32Limit;
  op.bf16_limit = kBf16Limit;
  const double flops = 4 * rows * static_cast<double>(size.T) * width / (options.causal ? 2 : 1);
  op.forward_work = {.activations = 4 * rows * width, .flops = flops};
  op.backward_work = {.activations = 8 * rows * width, .flops = 2.5 * flops};
  if (options.dropout == 0) {
    op.dependence = Dependence{
        "qkv", [=](std::int64_t row, std::int64_t to, std::int64_t from) {
          const std::int64_t length =
              options.lengths.empty() ? size.T : options.lengths[static_cast<std::size_t>(row)];
          return to < length && from < length && (!options.causal || from <= to);
        }};
  }
  return op;
}

const Registration registration({
    attention_case({1, 1, 1, 3}, {}),
    attention_case({2, 1, 2, 5}, {.causal = true}),
    attention_case({2, 7, 3, 5}, {}),
    attention_case({2, 7, 3, 5}, {.causal = true}),
    attention_case({3, 7, 1, 3}, {.lengths = {7, 1, 0}}),
    attention_case({3, 7, 2, 3}, {.causal = true, .lengths = {5, 7, 2}}),
    attention_case({2, 7, 2, 5}, {.dropout = 0.3}),
    attention_case({2, 7, 2, 5}, {.causal = true, .lengths = {4, 7}, .dropout = 0.3}),
    attention_case({1, 33, 1, 8}, {}),
    attention_case({1, 33, 1, 8}, {.causal = true}),
    attention_case({2, 33, 2, 32}, {.causal = true, .lengths = {33, 17}, .dropout = 0.3}),
    attention_case({2, 33, 2, 64}, {.causal = true, .lengths = {33, 20}, .dropout = 0.3}),
    attention_case({2, 67, 2, 8}, {.lengths = {67, 40}}),
    attention_case({2, 67, 2, 8}, {.causal = true}),
    attention_case({1, 67, 1, 32}, {.dropout = 0.3}),
    timed(attention_case({32, 128, 4, 32}, {})),
    timed(attention_case({32, 128, 4, 32}, {.causal = true})),
    timed_on_gpu(attention_case({64, 256, 6, 64}, {})),
    timed_on_gpu(attention_case({64, 256, 6, 64}, {.causal = true})),
    timed_on_gpu(attention_case({16, 1024, 12, 64}, {})),
    timed_on_gpu(attention_case({16, 1024, 12, 64}, {.causal = true})),
    timed_on_gpu(attention_case({4, 4096, 12, 64}, {})),
    timed_on_gpu(attention_case({4, 4096, 12, 64}, {.causal = true})),
});

}  // namespace
}  // namespace masque::test
