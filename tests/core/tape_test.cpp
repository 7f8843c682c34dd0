#include "core/tape.h"

#include <vector>

#include "tests/support/catch.h"

namespace masque {
namespace {

const Device kCpu = On<Cpu, double>{};

}  // namespace

TEST_CASE("tape: backward runs what was recorded, last first, once", "[cpu]") {
  Arena arena(kCpu, "test");
  Tape tape(arena, Tape::Mode::training);
  std::vector<int> order;
  for (int op = 0; op < 3; ++op) {
    tape.record("op", [&order, op](auto) { order.push_back(op); });
  }
  tape.backward();
  CHECK(order == std::vector<int>{2, 1, 0});
  tape.backward();
  CHECK(order.size() == 3);
}

TEST_CASE("tape: run and record pass on the device and its type", "[cpu]") {
  Arena arena(kCpu, "test");
  Tape tape(arena, Tape::Mode::training);
  bool is_double = false;
  const auto kernel = [&](auto on) {
    is_double = std::is_same_v<typename decltype(on)::real, double>;
  };
  tape.run("gelu", kernel);
  CHECK(is_double);
  is_double = false;
  tape.record("gelu", kernel);
  tape.backward();
  CHECK(is_double);
}

TEST_CASE("tape: training activations have gradients, inference keeps nothing", "[cpu]") {
  Arena arena(kCpu, "test");
  Tape training(arena, Tape::Mode::training);
  const Tensor x = training.activation({2, 3});
  CHECK(x.dtype == DType::f64);
  CHECK(x.grad != nullptr);
  CHECK(x.grad != x.data);
  CHECK(training.statistic({2}).grad == nullptr);

  Tape inference(arena, Tape::Mode::inference);
  CHECK(inference.activation({2, 3}).grad == nullptr);
  bool ran = false;
  inference.record("gelu", [&](auto) { ran = true; });
  inference.backward();
  CHECK_FALSE(ran);
}

TEST_CASE("tape: a second consumer of an activation is refused, with both named", "[cpu]") {
  Arena arena(kCpu, "test");
  Tape tape(arena, Tape::Mode::training);
  const Tensor x = tape.activation({2, 3});
  CHECK_FALSE(tape.consumed(x));
  tape.consume(x, "gelu");
  CHECK(tape.consumed(x));
  CHECK_THROWS_WITH(tape.consume(x, "linear"),
                    "linear: its input (2, 3) is already read by gelu; an activation has one "
                    "consumer");
}

TEST_CASE("tape: a renamed tensor is a new activation in the same memory", "[cpu]") {
  Arena arena(kCpu, "test");
  Tape tape(arena, Tape::Mode::training);
  const Tensor x = tape.activation({4});
  tape.consume(x, "rope");
  const Tensor y = tape.renamed(x);
  CHECK(y.data == x.data);
  CHECK(y.grad == x.grad);
  CHECK_FALSE(tape.consumed(y));
}

TEST_CASE("tape: a sum shares its gradient with its first term", "[cpu]") {
  Arena arena(kCpu, "test");
  Tape tape(arena, Tape::Mode::training);
  const Tensor residual = tape.activation({4});
  const Tensor stream = tape.activation_sharing_grad(residual);
  CHECK(stream.grad == residual.grad);
  CHECK(stream.data != residual.data);
}

TEST_CASE("tape: a gradient's memory goes to activations made after its reader", "[cpu]") {
  Arena arena(kCpu, "test");
  Tape tape(arena, Tape::Mode::training);
  const auto op = [&tape](const Tensor& x, const Shape& shape) {
    tape.consume(x, "op");
    const Tensor out = tape.activation(shape);
    tape.record("op", [](auto) {});
    return out;
  };
  const Tensor a = tape.activation({8});
  const Tensor b = op(a, {8}), c = op(b, {8}), d = op(c, {4}), e = op(d, {9});
  CHECK(b.grad != a.grad);  // both are there in the backward of the op between them
  CHECK(c.grad == a.grad);
  CHECK(d.grad == b.grad);  // a smaller one fits
  CHECK(e.grad != a.grad);  // a larger one does not
  CHECK(e.grad != b.grad);

  // A residual stream: its gradient is there from its first reader's op to its last.
  const Tensor start = tape.activation({8});
  const Tensor branch = op(tape.activation({8}), {8});
  tape.consume(start, "sum");
  tape.consume(branch, "sum");
  const Tensor stream = tape.activation_sharing_grad(start);
  tape.record("sum", [](auto) {});
  const Tensor later = op(tape.activation({8}), {8});
  CHECK(stream.grad == start.grad);
  CHECK(later.grad != stream.grad);
}

TEST_CASE("tape: what is not an activation has any number of consumers", "[cpu]") {
  Arena arena(kCpu, "test");
  Tape tape(arena, Tape::Mode::training);
  const Tensor ids = arena.allocate({2, 3}, DType::i32);
  tape.consume(ids, "embedding");
  tape.consume(ids, "embedding");
  CHECK_FALSE(tape.consumed(ids));
}

}  // namespace masque
