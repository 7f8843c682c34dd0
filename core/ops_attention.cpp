#include "core/check.h"
#include "core/op_support.h"
#include "core/ops.h"
#include "kernels/attention.h"
#include "kernels/attention_decode.h"
#include "kernels/rope.h"

namespace masque {
namespace {

// Sizes of packed qkv (B,T,3·NH·HS).
struct Heads {
  std::int64_t B, T, NH, HS;
};

Heads heads_of(const char* op, const Tensor& qkv, std::int64_t heads) {
  CHECK(qkv.shape.rank() == 3 && heads > 0 && qkv.shape[2] % (3 * heads) == 0,
        "{}: qkv {} must be (B, T, 3·{}·head size)", op, qkv.shape, heads);
  return {qkv.shape[0], qkv.shape[1], heads, qkv.shape[2] / (3 * heads)};
}

}  // namespace

Tensor rope(Tape& tape, const Tensor& qkv, std::int64_t heads, double theta,
            std::int64_t first_position) {
  const Heads size = heads_of("rope", qkv, heads);
  CHECK(size.HS % 2 == 0, "rope: head size {} must be even", size.HS);
  tape.consume(qkv, "rope");
  const auto rotation = [=](auto* values) {
    return Rope<std::remove_pointer_t<decltype(values)>>{.qkv = values,
                                                         .first_position = first_position,
                                                         .theta = theta,
                                                         .B = size.B,
                                                         .T = size.T,
                                                         .NH = size.NH,
                                                         .HS = size.HS};
  };
  tape.run("rope", [&](auto on) { rope_forward(on, rotation(qkv.as<real_of<decltype(on)>>())); });
  tape.record("rope",
              [=](auto on) { rope_backward(on, rotation(qkv.grad_as<real_of<decltype(on)>>())); });
  return tape.renamed(qkv);
}

Tensor attention(Tape& tape, const Tensor& qkv, std::int64_t heads, bool causal,
                 const Tensor* lengths, const Dropout& dropout) {
  const Heads size = heads_of("attention", qkv, heads);
  CHECK(lengths == nullptr || lengths->shape == Shape({size.B}),
        "attention: lengths {} must be ({})", lengths->shape, size.B);
  tape.consume(qkv, "attention");
  const Tensor out = tape.activation({size.B, size.T, size.NH * size.HS});
  const Tensor lse = tape.statistic({size.B, size.NH, size.T});
  const std::int32_t* row_lengths = lengths == nullptr ? nullptr : lengths->as<std::int32_t>();
  tape.run("attention", [&](auto on) {
    using Real = real_of<decltype(on)>;
    attention_forward(on, {.out = out.as<Real>(),
                           .lse = lse.as<param_of<decltype(on)>>(),
                           .qkv = qkv.as<Real>(),
                           .lengths = row_lengths,
                           .causal = causal,
                           .state = dropout.state,
                           .stream = dropout.stream,
                           .p = dropout.p,
                           .B = size.B,
                           .T = size.T,
                           .NH = size.NH,
                           .HS = size.HS});
  });
  tape.record("attention", [=](auto on) {
    using Real = real_of<decltype(on)>;
    attention_backward(on, {.dqkv = qkv.grad_as<Real>(),
                            .dout = out.grad_as<Real>(),
                            .out = out.as<Real>(),
                            .lse = lse.as<param_of<decltype(on)>>(),
                            .qkv = qkv.as<Real>(),
                            .lengths = row_lengths,
                            .causal = causal,
                            .state = dropout.state,
                            .stream = dropout.stream,
                            .p = dropout.p,
                            .B = size.B,
                            .T = size.T,
                            .NH = size.NH,
                            .HS = size.HS});
  });
  return out;
}

Tensor attention_decode(Tape& tape, const Tensor& qkv, std::int64_t heads, KeyValueCache& cache,
                        std::int64_t past) {
  const Heads size = heads_of("attention_decode", qkv, heads);
  const std::int64_t C = size.NH * size.HS;
  CHECK(!tape.training(), "attention_decode: has no backward");
  CHECK(cache.keys.shape.rank() == 3 && cache.keys.shape == cache.values.shape &&
            cache.keys.shape[0] == size.B && cache.keys.shape[2] == C &&
            past + size.T <= cache.keys.shape[1],
        "attention_decode: {} new positions after {} do not fit cache {} for qkv {}", size.T, past,
        cache.keys.shape, qkv.shape);
  const Tensor out = tape.activation({size.B, size.T, C});
  tape.run("attention_decode", [&](auto on) {
    using Real = real_of<decltype(on)>;
    attention_decode(on, {.out = out.as<Real>(),
                          .keys = cache.keys.as<Real>(),
                          .values = cache.values.as<Real>(),
                          .qkv = qkv.as<Real>(),
                          .past = past,
                          .capacity = cache.keys.shape[1],
                          .B = size.B,
                          .T = size.T,
                          .NH = size.NH,
                          .HS = size.HS});
  });
  return out;
}

}  // namespace masque
