#include "core/check.h"
#include "core/op_support.h"
#include "core/ops.h"
#include "kernels/residual_norm.h"

namespace masque {
namespace {

// The stream that residual_norm makes: branch itself where there is nothing to add or to drop. Its
// gradient is the residual's own, since both are the same.
struct Stream {
  Tensor sum;
  bool added;  // false: sum is the branch
};

Stream make_stream(Tape& tape, const std::optional<Tensor>& residual, const Tensor& branch,
                   const Dropout& dropout) {
  tape.consume(branch, "residual_norm");
  if (!residual && dropout.p == 0) return {tape.renamed(branch), false};
  if (!residual) return {tape.activation(branch.shape), true};
  tape.consume(*residual, "residual_norm");
  CHECK(residual->shape == branch.shape, "residual_norm: residual {} must match branch {}",
        residual->shape, branch.shape);
  return {tape.activation_sharing_grad(*residual), true};
}

}  // namespace

ResidualNorm residual_norm(Tape& tape, const std::optional<Tensor>& residual, const Tensor& branch,
                           const Dropout& dropout, const NormParameters& parameters) {
  const std::int64_t C = branch.shape[-1], N = rows_of(branch), B = branch.shape[0];
  CHECK(parameters.weight->shape == Shape({C}),
        "residual_norm: weight {} must match the last dimension of x {}", parameters.weight->shape,
        branch.shape);
  const bool centred = parameters.kind == NormKind::layernorm;
  CHECK(centred || parameters.bias == nullptr, "residual_norm: rmsnorm has no bias");
  const Stream made = make_stream(tape, residual, branch, dropout);
  const Tensor stream = made.sum, normed = tape.activation(branch.shape);
  const Tensor mean = centred ? tape.statistic({N}) : Tensor(), rstd = tape.statistic({N});
  tape.run("residual_norm", [&](auto on) {
    using Real = real_of<decltype(on)>;
    using Param = param_of<decltype(on)>;
    ResidualDropoutForward<Real> add{};
    if (made.added) {
      add = {.out = stream.as<Real>(),
             .residual = residual ? residual->as<Real>() : nullptr,
             .branch = branch.as<Real>(),
             .state = dropout.state,
             .stream = dropout.stream,
             .p = dropout.p,
             .B = B,
             .E = branch.shape.count() / B};
    }
    if (centred) {
      residual_layernorm_forward(on, add,
                                 {.out = normed.as<Real>(),
                                  .mean = mean.as<Param>(),
                                  .rstd = rstd.as<Param>(),
                                  .x = stream.as<Real>(),
                                  .weight = parameters.weight->master.as<Param>(),
                                  .bias = data_or_null<Param>(parameters.bias),
                                  .eps = parameters.eps,
                                  .N = N,
                                  .C = C});
    } else {
      residual_rmsnorm_forward(on, add,
                               {.out = normed.as<Real>(),
                                .rstd = rstd.as<Param>(),
                                .x = stream.as<Real>(),
                                .weight = parameters.weight->master.as<Param>(),
                                .eps = parameters.eps,
                                .N = N,
                                .C = C});
    }
  });
  tape.record("residual_norm", [=, &tape](auto on) {
    using Real = real_of<decltype(on)>;
    using Param = param_of<decltype(on)>;
    ResidualDropoutBackward<Real> add{};
    if (made.added) {
      add = {.dbranch = branch.grad_as<Real>(),
             .dout = stream.grad_as<Real>(),
             .state = dropout.state,
             .stream = dropout.stream,
             .p = dropout.p,
             .B = B,
             .E = branch.shape.count() / B};
    }
    const Real* dresidual = tape.consumed(stream) ? stream.grad_as<Real>() : nullptr;
    if (centred) {
      residual_layernorm_backward(on,
                                  {.dx = stream.grad_as<Real>(),
                                   .dweight = parameters.weight->grad.as<Param>(),
                                   .dbias = grad_or_null<Param>(parameters.bias),
                                   .dout = normed.grad_as<Real>(),
                                   .dresidual = dresidual,
                                   .x = stream.as<Real>(),
                                   .mean = mean.as<Param>(),
                                   .rstd = rstd.as<Param>(),
                                   .weight = parameters.weight->master.as<Param>(),
                                   .N = N,
                                   .C = C},
                                  add);
    } else {
      residual_rmsnorm_backward(on,
                                {.dx = stream.grad_as<Real>(),
                                 .dweight = parameters.weight->grad.as<Param>(),
                                 .dout = normed.grad_as<Real>(),
                                 .dresidual = dresidual,
                                 .x = stream.as<Real>(),
                                 .rstd = rstd.as<Param>(),
                                 .weight = parameters.weight->master.as<Param>(),
                                 .N = N,
                                 .C = C},
                                add);
    }
  });
  return {stream, normed};
}

}  // namespace masque
