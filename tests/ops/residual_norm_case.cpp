#include "core/ops.h"
#include "kernels/philox.h"
#include "tests/support/op_case.h"

namespace masque::test {
namespace {

constexpr double kF32Limit = 5e-7;
constexpr double kBf16Limit = 3.7e-3;  // the stream is rounded before its norm: 1.5 times measured

struct Options {
  NormKind kind = NormKind::layernorm;
  bool bias = false;
  bool residual = true;
  double dropout = 0;
  bool stream_read = true;  // false: the last norm of the model, whose stream no one reads
  double eps = 1e-5;
};

OpCase residual_norm_case(std::int64_t B, std::int64_t T, std::int64_t C, const Options& options) {
  const bool layernorm = options.kind == NormKind::layernorm;
  const auto n = static_cast<double>(B * T * C);
  OpCase op;
  op.name = layernorm ? "layernorm" : "rmsnorm";
  op.variant = fmt::format("{}{}{}{}{}", Shape({B, T, C}).to_string(), options.bias ? " bias" : "",
                           options.residual ? "" : " no-residual",
                           options.dropout > 0 ? fmt::format(" dropout={}", options.dropout) : "",
                           options.stream_read ? "" : " last");
  op.call = [=](OpRun& run) {
    std::optional<Tensor> residual;
    if (options.residual) residual = run.input("residual", {B, T, C});
    const Tensor branch = run.input("branch", {B, T, C});
    NormParameters norm;
    norm.kind = options.kind;
    norm.eps = options.eps;
    norm.weight = &run.parameter("weight", {C}, {.mean = 1, .sd = 0.3});
    if (options.bias) norm.bias = &run.parameter("bias", {C});
    const Dropout dropout{options.dropout, run.state(), stream_of(Purpose::dropout, 2)};
    const ResidualNorm result = residual_norm(run.tape(), residual, branch, dropout, norm);
    if (options.stream_read) run.output("stream", result.stream);
    run.output("normed", result.normed);
  };
  op.f32_limit = kF32Limit;
  op.bf16_limit = kBf16Limit;
  op.forward_work = {.activations = 4 * n, .flops = 9 * n};
  op.backward_work = {.activations = 4 * n, .flops = 12 * n};
  if (options.dropout == 0 && C > 1) {
    op.dependence = Dependence{"branch", [](auto, auto to, auto from) { return to == from; }};
  }
  return op;
}

constexpr NormKind kLayernorm = NormKind::layernorm;
constexpr NormKind kRmsnorm = NormKind::rmsnorm;

// C = 1: x is its own mean and rstd is 1/√eps, which multiplies f32's rounding, hence eps 1.
// (5, 67, 67) is enough to be cut among threads.
const Registration layernorm_registration({
    residual_norm_case(1, 1, 13, {.kind = kLayernorm, .bias = true}),
    residual_norm_case(1, 2, 1, {.kind = kLayernorm, .bias = true, .eps = 1}),
    residual_norm_case(2, 7, 13, {.kind = kLayernorm}),
    residual_norm_case(2, 7, 13, {.kind = kLayernorm, .bias = true, .dropout = 0.3}),
    residual_norm_case(3, 7, 13, {.kind = kLayernorm, .bias = true, .residual = false}),
    residual_norm_case(3, 5, 13,
                       {.kind = kLayernorm, .bias = true, .residual = false, .dropout = 0.3}),
    residual_norm_case(2, 5, 67, {.kind = kLayernorm, .bias = true, .stream_read = false}),
    residual_norm_case(5, 67, 67, {.kind = kLayernorm, .bias = true}),
    timed(residual_norm_case(32, 128, 128, {.kind = kLayernorm, .bias = true})),
    timed_on_gpu(residual_norm_case(64, 256, 384, {.kind = kLayernorm, .bias = true})),
    timed_on_gpu(residual_norm_case(64, 256, 384, {.kind = kLayernorm, .dropout = 0.2})),
    timed_on_gpu(residual_norm_case(16, 1024, 768, {.kind = kLayernorm, .bias = true})),
});

const Registration rmsnorm_registration({
    residual_norm_case(1, 1, 13, {.kind = kRmsnorm}),
    residual_norm_case(1, 2, 1, {.kind = kRmsnorm, .eps = 1}),
    residual_norm_case(2, 7, 13, {.kind = kRmsnorm}),
    residual_norm_case(2, 7, 13, {.kind = kRmsnorm, .dropout = 0.3}),
    residual_norm_case(3, 7, 13, {.kind = kRmsnorm, .residual = false}),
    residual_norm_case(3, 5, 13, {.kind = kRmsnorm, .residual = false, .dropout = 0.3}),
    residual_norm_case(2, 5, 67, {.kind = kRmsnorm, .stream_read = false}),
    residual_norm_case(5, 67, 67, {.kind = kRmsnorm}),
    timed(residual_norm_case(32, 128, 128, {.kind = kRmsnorm})),
    timed_on_gpu(residual_norm_case(64, 256, 384, {.kind = kRmsnorm})),
    timed_on_gpu(residual_norm_case(16, 1024, 768, {.kind = kRmsnorm})),
});

}  // namespace
}  // namespace masque::test
