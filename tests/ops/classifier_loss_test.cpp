#include "kernels/classifier_loss.h"

#include "core/ops.h"
#include "kernels/linear.h"
#include "kernels/masked_cross_entropy.h"
#include "tests/support/arrays.h"
// After the engine's own CHECK.
#include "tests/support/catch.h"

namespace masque::test {
namespace {

constexpr std::int64_t kN = 131, kC = 40, kV = 69;

template <class Real>
struct Operands {
  std::vector<Real> hidden = normal_array<Real>("hidden", kN* kC);
  std::vector<Real> head = normal_array<Real>("head", kV* kC, 0.3);
  std::vector<std::int32_t> targets = integers(3, kN, 2, kV - 1);
  std::vector<stat_t<Real>> weights = normal_array<stat_t<Real>>("weights", kN);
  std::vector<std::uint8_t> excluded = std::vector<std::uint8_t>(kV);

  Operands() {
    excluded[0] = 1;
    for (std::size_t n = 0; n < weights.size(); n += 2) {
      weights[n] = 0;
      targets[n] = -7;  // must stay unread
    }
  }
};

template <class Real>
struct Result {
  double loss = 2;                            // added to
  std::vector<std::int64_t> counts = {3, 4};  // too
  std::vector<stat_t<Real>> nll = poisoned<stat_t<Real>>(kN);
  std::vector<std::int32_t> correct = std::vector<std::int32_t>(kN, -1);
  std::vector<Real> dlogits = poisoned<Real>(kN * classifier_loss_room(kV));
  std::vector<Real> dhidden = poisoned<Real>(kN * kC);
  std::vector<param_t<Real>> dhead = normal_array<param_t<Real>>("before", kV* kC);
};

template <class Real>
void check_same(const Result<Real>& result, const Result<Real>& expected) {
  CHECK(result.loss == expected.loss);
  CHECK(result.counts == expected.counts);
  CHECK(same_bits(result.nll, expected.nll));
  CHECK(result.correct == expected.correct);
}

}  // namespace

TEMPLATE_TEST_CASE("classifier_loss has the bits of its parts", "[cpu]", float, double) {
  using Real = TestType;
  const On<Cpu, Real> on;
  const Operands<Real> in;
  Result<Real> expected, result, inference;
  linear_forward(on, {.out = expected.dlogits.data(),
                      .x = in.hidden.data(),
                      .weight = in.head.data(),
                      .bias = nullptr,
                      .N = kN,
                      .IC = kC,
                      .OC = kV});
  masked_cross_entropy(on, {.loss = &expected.loss,
                            .counts = expected.counts.data(),
                            .nll = expected.nll.data(),
                            .correct = expected.correct.data(),
                            .dlogits = expected.dlogits.data(),
                            .logits = expected.dlogits.data(),
                            .targets = in.targets.data(),
                            .weights = in.weights.data(),
                            .excluded = in.excluded.data(),
                            .N = kN,
                            .V = kV});
  linear_backward(on, {.dx = expected.dhidden.data(),
                       .dweight = expected.dhead.data(),
                       .dbias = nullptr,
                       .dout = expected.dlogits.data(),
                       .x = in.hidden.data(),
                       .weight = in.head.data(),
                       .N = kN,
                       .IC = kC,
                       .OC = kV});
  for (Result<Real>* to : {&result, &inference}) {
    classifier_loss_forward(on, {.loss = &to->loss,
                                 .counts = to->counts.data(),
                                 .nll = to->nll.data(),
                                 .correct = to->correct.data(),
                                 .dhidden = to == &result ? to->dhidden.data() : nullptr,
                                 .dlogits = to->dlogits.data(),
                                 .hidden = in.hidden.data(),
                                 .head = in.head.data(),
                                 .targets = in.targets.data(),
                                 .weights = in.weights.data(),
                                 .excluded = in.excluded.data(),
                                 .N = kN,
                                 .C = kC,
                                 .V = kV});
    check_same(*to, expected);
  }
  classifier_loss_backward(on, {.dhead = result.dhead.data(),
                                .dlogits = result.dlogits.data(),
                                .hidden = in.hidden.data(),
                                .N = kN,
                                .C = kC,
                                .V = kV});
  CHECK(same_bits(result.dhidden, expected.dhidden));
  CHECK(same_bits(result.dhead, expected.dhead));
}

TEST_CASE("classifier_loss refuses shapes that do not fit", "[cpu]") {
  const Device device = On<Cpu, float>{};
  Arena arena(device, "test");
  Tape tape(arena, Tape::Mode::training);
  ParameterStore store(device);
  Parameter& head = store.add("head.weight", {5, 4}, true);
  store.allocate();
  const Tensor hidden = tape.activation({2, 3, 4}), narrow = tape.activation({2, 3, 3});
  LossInputs inputs;
  inputs.targets = arena.allocate({2, 3}, DType::i32);
  inputs.weights = arena.allocate({2, 3}, DType::f32);
  LossInputs few = inputs;
  few.targets = arena.allocate({2, 2}, DType::i32);
  CHECK_THROWS_WITH(classifier_loss(tape, narrow, head, inputs, {}),
                    Catch::Contains("head (5, 4) must be (V, 3) for hidden (2, 3, 3)"));
  CHECK_THROWS_WITH(
      classifier_loss(tape, hidden, head, few, {}),
      Catch::Contains("targets (2, 2) and weights (2, 3) must match hidden (2, 3, 4)"));
  Tensor without_gradient = hidden;
  without_gradient.grad = nullptr;
  CHECK_THROWS_WITH(classifier_loss(tape, without_gradient, head, inputs, {}),
                    Catch::Contains("hidden (2, 3, 4) must have a gradient in training"));
}

}  // namespace masque::test
