#include "core/ops.h"

#include "core/check.h"
#include "core/op_support.h"
#include "kernels/classifier_loss.h"
#include "kernels/embedding.h"
#include "kernels/gather_rows.h"
#include "kernels/gelu.h"
#include "kernels/linear.h"
#include "kernels/masked_cross_entropy.h"
#include "kernels/swiglu.h"

namespace masque {
namespace {

Shape with_last(const Shape& shape, std::int64_t last) {
  if (shape.rank() == 2) return {shape[0], last};
  CHECK(shape.rank() == 3, "shape {}: rank must be 2 or 3", shape);
  return {shape[0], shape[1], last};
}

}  // namespace

Tensor embedding(Tape& tape, const Tensor& tokens, Parameter& wte, Parameter* wpe,
                 std::int64_t first_position) {
  CHECK(tokens.shape.rank() == 2, "embedding: tokens {} must be (B, T)", tokens.shape);
  const std::int64_t B = tokens.shape[0], T = tokens.shape[1];
  const std::int64_t V = wte.shape[0], C = wte.shape[1];
  CHECK(wpe == nullptr || (wpe->shape[1] == C && first_position + T <= wpe->shape[0]),
        "embedding: positions {} … {} of width {} do not fit wpe {}", first_position,
        first_position + T - 1, C, wpe->shape);
  const Tensor out = tape.activation({B, T, C});
  tape.run("embedding", [&](auto on) {
    using Real = real_of<decltype(on)>;
    embedding_forward(on, {.out = out.as<Real>(),
                           .tokens = tokens.as<std::int32_t>(),
                           .wte = wte.compute.as<Real>(),
                           .wpe = wpe == nullptr ? nullptr : wpe->compute.as<Real>(),
                           .first_position = first_position,
                           .B = B,
                           .T = T,
                           .C = C});
  });
  tape.record("embedding", [=, &wte](auto on) {
    using Real = real_of<decltype(on)>;
    using Param = param_of<decltype(on)>;
    Param* dwpe = grad_or_null<Param>(wpe);
    embedding_backward(on, {.dwte = wte.grad.as<Param>(),
                            .dwpe = dwpe == nullptr ? nullptr : dwpe + first_position * C,
                            .dout = out.grad_as<Real>(),
                            .tokens = tokens.as<std::int32_t>(),
                            .B = B,
                            .T = T,
                            .C = C,
                            .V = V});
  });
  return out;
}

Tensor linear(Tape& tape, const Tensor& x, Parameter& weight, Parameter* bias) {
  const std::int64_t N = rows_of(x), IC = x.shape[-1], OC = weight.shape[0];
  CHECK(weight.shape == Shape({OC, IC}), "linear: weight {} must be (out, {}) for x {}",
        weight.shape, IC, x.shape);
  CHECK(bias == nullptr || bias->shape == Shape({OC}), "linear: bias {} must be ({})", bias->shape,
        OC);
  tape.consume(x, "linear");
  const Tensor out = tape.activation(with_last(x.shape, OC));
  tape.run("linear", [&](auto on) {
    using Real = real_of<decltype(on)>;
    linear_forward(on, {.out = out.as<Real>(),
                        .x = x.as<Real>(),
                        .weight = weight.compute.as<Real>(),
                        .bias = bias == nullptr ? nullptr : bias->compute.as<Real>(),
                        .N = N,
                        .IC = IC,
                        .OC = OC});
  });
  tape.record("linear", [=, &weight](auto on) {
    using Real = real_of<decltype(on)>;
    using Param = param_of<decltype(on)>;
    linear_backward(on, {.dx = x.grad_as<Real>(),
                         .dweight = weight.grad.as<Param>(),
                         .dbias = grad_or_null<Param>(bias),
                         .dout = out.grad_as<Real>(),
                         .x = x.as<Real>(),
                         .weight = weight.compute.as<Real>(),
                         .N = N,
                         .IC = IC,
                         .OC = OC});
  });
  return out;
}

Tensor gelu(Tape& tape, const Tensor& x) {
  tape.consume(x, "gelu");
  const Tensor out = tape.activation(x.shape);
  tape.run("gelu", [&](auto on) {
    using Real = real_of<decltype(on)>;
    gelu_forward(on, {.out = out.as<Real>(), .x = x.as<Real>(), .n = x.shape.count()});
  });
  tape.record("gelu", [=](auto on) {
    using Real = real_of<decltype(on)>;
    gelu_backward(on, {.dx = x.grad_as<Real>(),
                       .dout = out.grad_as<Real>(),
                       .x = x.as<Real>(),
                       .n = x.shape.count()});
  });
  return out;
}

Tensor swiglu(Tape& tape, const Tensor& gate_up) {
  CHECK(gate_up.shape[-1] % 2 == 0, "swiglu: last dimension of {} must be even", gate_up.shape);
  tape.consume(gate_up, "swiglu");
  const std::int64_t N = rows_of(gate_up), F = gate_up.shape[-1] / 2;
  const Tensor out = tape.activation(with_last(gate_up.shape, F));
  tape.run("swiglu", [&](auto on) {
    using Real = real_of<decltype(on)>;
    swiglu_forward(on, {.out = out.as<Real>(), .gate_up = gate_up.as<Real>(), .N = N, .F = F});
  });
  tape.record("swiglu", [=](auto on) {
    using Real = real_of<decltype(on)>;
    swiglu_backward(on, {.dgate_up = gate_up.grad_as<Real>(),
                         .dout = out.grad_as<Real>(),
                         .gate_up = gate_up.as<Real>(),
                         .N = N,
                         .F = F});
  });
  return out;
}

Tensor gather_rows(Tape& tape, const Tensor& x, std::span<const std::int64_t> rows) {
  CHECK(!tape.training(), "gather_rows: has no backward");
  const std::int64_t N = rows_of(x);
  for (const std::int64_t row : rows) {
    CHECK(row >= 0 && row < N, "gather_rows: row {} of x {}", row, x.shape);
  }
  const auto count = static_cast<std::int64_t>(rows.size());
  auto* const device_rows =
      static_cast<std::int64_t*>(tape.arena().allocate_bytes(rows.size_bytes()));
  const Tensor out = tape.activation({count, x.shape[-1]});
  tape.run("gather_rows", [&](auto on) {
    copy_on_device(on, device_rows, rows.data(), rows.size_bytes());
    using Real = real_of<decltype(on)>;
    gather_rows(on, {.out = out.as<Real>(),
                     .x = x.as<Real>(),
                     .rows = device_rows,
                     .K = count,
                     .C = x.shape[-1]});
  });
  return out;
}

LossResult masked_cross_entropy(Tape& tape, const Tensor& logits, const LossInputs& inputs,
                                const LossTotals& totals) {
  const std::int64_t N = rows_of(logits), V = logits.shape[-1];
  CHECK(inputs.targets.shape.count() == N && inputs.weights.shape.count() == N,
        "masked_cross_entropy: targets {} and weights {} must match logits {}",
        inputs.targets.shape, inputs.weights.shape, logits.shape);
  tape.consume(logits, "masked_cross_entropy");
  const LossResult result{tape.statistic(inputs.targets.shape),
                          tape.arena().allocate(inputs.targets.shape, DType::i32)};
  tape.run("masked_cross_entropy", [&](auto on) {
    using Real = real_of<decltype(on)>;
    using Param = param_of<decltype(on)>;
    masked_cross_entropy(on, {.loss = totals.loss,
                              .counts = totals.counts,
                              .nll = result.nll.as<Param>(),
                              .correct = result.correct.as<std::int32_t>(),
                              .dlogits = logits.grad_as<Real>(),
                              .logits = logits.as<Real>(),
                              .targets = inputs.targets.as<std::int32_t>(),
                              .weights = inputs.weights.as<Param>(),
                              .excluded = inputs.excluded,
                              .N = N,
                              .V = V});
  });
  return result;
}

LossResult classifier_loss(Tape& tape, const Tensor& hidden, Parameter& head,
                           const LossInputs& inputs, const LossTotals& totals) {
  const std::int64_t N = rows_of(hidden), C = hidden.shape[-1], V = head.shape[0];
  CHECK(head.shape == Shape({V, C}), "classifier_loss: head {} must be (V, {}) for hidden {}",
        head.shape, C, hidden.shape);
  CHECK(inputs.targets.shape.count() == N && inputs.weights.shape.count() == N,
        "classifier_loss: targets {} and weights {} must match hidden {}", inputs.targets.shape,
        inputs.weights.shape, hidden.shape);
  CHECK(!tape.training() || hidden.grad != nullptr,
        "classifier_loss: hidden {} must have a gradient in training", hidden.shape);
  tape.consume(hidden, "classifier_loss");
  const LossResult result{tape.statistic(inputs.targets.shape),
                          tape.arena().allocate(inputs.targets.shape, DType::i32)};
  const Tensor dlogits =
      tape.arena().allocate({N, classifier_loss_room(V)}, activation_dtype(tape.device()));
  tape.run("classifier_loss", [&](auto on) {
    using Real = real_of<decltype(on)>;
    using Param = param_of<decltype(on)>;
    classifier_loss_forward(on, {.loss = totals.loss,
                                 .counts = totals.counts,
                                 .nll = result.nll.as<Param>(),
                                 .correct = result.correct.as<std::int32_t>(),
                                 .dhidden = hidden.grad_as<Real>(),
                                 .dlogits = dlogits.as<Real>(),
                                 .hidden = hidden.as<Real>(),
                                 .head = head.compute.as<Real>(),
                                 .targets = inputs.targets.as<std::int32_t>(),
                                 .weights = inputs.weights.as<Param>(),
                                 .excluded = inputs.excluded,
                                 .N = N,
                                 .C = C,
                                 .V = V});
  });
  tape.record("classifier_loss", [=, &head](auto on) {
    using Real = real_of<decltype(on)>;
    using Param = param_of<decltype(on)>;
    classifier_loss_backward(on, {.dhead = head.grad.as<Param>(),
                                  .dlogits = dlogits.as<Real>(),
                                  .hidden = hidden.as<Real>(),
                                  .N = N,
                                  .C = C,
                                  .V = V});
  });
  return result;
}

}  // namespace masque
