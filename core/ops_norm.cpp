#include "core/check.h"
#include "core/op_support.h"
#include "core/ops.h"
#include "kernels/layernorm.h"
#include "kernels/residual_dropout.h"
#include "kernels/rmsnorm.h"

namespace masque {
namespace {

// stream = residual + dropout(branch); its gradient is the residual's own, since both are the same.
Tensor add_residual(Tape& tape, const std::optional<Tensor>& residual, const Tensor& branch,
                    const Dropout& dropout) {
  tape.consume(branch, "residual_norm");
  if (!residual && dropout.p == 0) return tape.renamed(branch);
  const std::int64_t B = branch.shape[0], E = branch.shape.count() / branch.shape[0];
  Tensor stream;
  if (residual) {
    tape.consume(*residual, "residual_norm");
    CHECK(residual->shape == branch.shape, "residual_norm: residual {} must match branch {}",
          residual->shape, branch.shape);
    stream = tape.activation_sharing_grad(*residual);
  } else {
    stream = tape.activation(branch.shape);
  }
  tape.run([&](auto on) {
    using Real = real_of<decltype(on)>;
    residual_dropout_forward(on, {.out = stream.as<Real>(),
                                  .residual = residual ? residual->as<Real>() : nullptr,
                                  .branch = branch.as<Real>(),
                                  .state = dropout.state,
                                  .stream = dropout.stream,
                                  .p = dropout.p,
                                  .B = B,
                                  .E = E});
  });
  tape.record([=](auto on) {
    using Real = real_of<decltype(on)>;
    residual_dropout_backward(on, {.dbranch = branch.grad_as<Real>(),
                                   .dout = stream.grad_as<Real>(),
                                   .state = dropout.state,
                                   .stream = dropout.stream,
                                   .p = dropout.p,
                                   .B = B,
                                   .E = E});
  });
  return stream;
}

Tensor layernorm(Tape& tape, const Tensor& x, const NormParameters& parameters) {
  const std::int64_t N = rows_of(x), C = x.shape[-1];
  const Tensor out = tape.activation(x.shape);
  const Tensor mean = tape.statistic({N}), rstd = tape.statistic({N});
  tape.run([&](auto on) {
    using Real = real_of<decltype(on)>;
    using Param = param_of<decltype(on)>;
    layernorm_forward(on, {.out = out.as<Real>(),
                           .mean = mean.as<Param>(),
                           .rstd = rstd.as<Param>(),
                           .x = x.as<Real>(),
                           .weight = parameters.weight->master.as<Param>(),
                           .bias = data_or_null<Param>(parameters.bias),
                           .eps = parameters.eps,
                           .N = N,
                           .C = C});
  });
  tape.record([=, &tape](auto on) {
    using Real = real_of<decltype(on)>;
    using Param = param_of<decltype(on)>;
    layernorm_backward(on, {.dx = x.grad_as<Real>(),
                            .dweight = parameters.weight->grad.as<Param>(),
                            .dbias = grad_or_null<Param>(parameters.bias),
                            .dout = out.grad_as<Real>(),
                            .dresidual = tape.consumed(x) ? x.grad_as<Real>() : nullptr,
                            .x = x.as<Real>(),
                            .mean = mean.as<Param>(),
                            .rstd = rstd.as<Param>(),
                            .weight = parameters.weight->master.as<Param>(),
                            .N = N,
                            .C = C});
  });
  return out;
}

Tensor rmsnorm(Tape& tape, const Tensor& x, const NormParameters& parameters) {
  const std::int64_t N = rows_of(x), C = x.shape[-1];
  const Tensor out = tape.activation(x.shape);
  const Tensor rstd = tape.statistic({N});
  tape.run([&](auto on) {
    using Real = real_of<decltype(on)>;
    using Param = param_of<decltype(on)>;
    rmsnorm_forward(on, {.out = out.as<Real>(),
                         .rstd = rstd.as<Param>(),
                         .x = x.as<Real>(),
                         .weight = parameters.weight->master.as<Param>(),
                         .eps = parameters.eps,
                         .N = N,
                         .C = C});
  });
  tape.record([=, &tape](auto on) {
    using Real = real_of<decltype(on)>;
    using Param = param_of<decltype(on)>;
    rmsnorm_backward(on, {.dx = x.grad_as<Real>(),
                          .dweight = parameters.weight->grad.as<Param>(),
                          .dout = out.grad_as<Real>(),
                          .dresidual = tape.consumed(x) ? x.grad_as<Real>() : nullptr,
                          .x = x.as<Real>(),
                          .rstd = rstd.as<Param>(),
                          .weight = parameters.weight->master.as<Param>(),
                          .N = N,
                          .C = C});
  });
  return out;
}

}  // namespace

ResidualNorm residual_norm(Tape& tape, const std::optional<Tensor>& residual, const Tensor& branch,
                           const Dropout& dropout, const NormParameters& parameters) {
  const std::int64_t C = branch.shape[-1];
  CHECK(parameters.weight->shape == Shape({C}),
        "residual_norm: weight {} must match the last dimension of x {}", parameters.weight->shape,
        branch.shape);
  CHECK(parameters.kind == NormKind::layernorm || parameters.bias == nullptr,
        "residual_norm: rmsnorm has no bias");
  ResidualNorm result;
  result.stream = add_residual(tape, residual, branch, dropout);
  result.normed = parameters.kind == NormKind::layernorm
                      ? layernorm(tape, result.stream, parameters)
                      : rmsnorm(tape, result.stream, parameters);
  return result;
}

}  // namespace masque
