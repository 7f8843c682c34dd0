// The embedding's sums on the GPU where tokens are many, frequent or rare. Small shapes: the op
// cases.
#include "kernels/embedding.h"
#include "tests/support/arrays.h"
#include "tests/support/device_array.h"
#include "tests/support/gpu.h"
// After the engine's own CHECK.
#include "tests/support/catch.h"

namespace masque::test {
namespace {

struct Sizes {
  std::int64_t B, T, C, V;
};

struct Gradients {
  std::vector<float> dwte, dwpe;
};

template <class Real>
struct Operands {
  Sizes size;
  std::vector<std::int32_t> tokens;
  std::vector<Real> dout;
};

// Half of all tokens are the last one, as [MASK] is.
template <class Real>
Operands<Real> draw(const Sizes& s) {
  const std::int64_t N = s.B * s.T;
  const auto last = static_cast<std::int32_t>(s.V - 1);
  auto tokens = integers(3, N, 0, last);
  const auto coins = integers(4, N, 0, 1);
  for (std::size_t n = 0; n < tokens.size(); ++n) tokens[n] = coins[n] == 0 ? last : tokens[n];
  return {s, tokens, normal_array<Real>("dout", N * s.C)};
}

template <class Device, class Real>
void run_backward(On<Device, Real> on, const Sizes& s, param_t<Real>* dwte, param_t<Real>* dwpe,
                  const Real* dout, const std::int32_t* tokens) {
  embedding_backward(on, EmbeddingBackward<Real>{.dwte = dwte,
                                                 .dwpe = dwpe,
                                                 .dout = dout,
                                                 .tokens = tokens,
                                                 .B = s.B,
                                                 .T = s.T,
                                                 .C = s.C,
                                                 .V = s.V});
}

// Both tables hold random numbers before.
template <class Real>
Gradients on_device(const Operands<Real>& operands, bool positions = true) {
  const Sizes& s = operands.size;
  const DeviceArray<std::int32_t> tokens(operands.tokens);
  const DeviceArray<Real> dout(operands.dout);
  const DeviceArray<float> dwte(normal_array<float>("dwte", s.V * s.C));
  const DeviceArray<float> dwpe(normal_array<float>("dwpe", s.T * s.C));
  run_backward(on_gpu<Real>(), s, dwte.data(), positions ? dwpe.data() : nullptr, dout.data(),
               tokens.data());
  return {dwte.read(), dwpe.read()};
}

struct Expected {
  std::vector<double> dwte, dwpe;
};

template <class Real>
Expected on_host(const Operands<Real>& operands) {
  const Sizes& s = operands.size;
  const std::vector<double> dout(operands.dout.begin(), operands.dout.end());
  Expected expected{normal_array<double>("dwte", s.V * s.C),
                    normal_array<double>("dwpe", s.T * s.C)};
  run_backward(On<Cpu, double>{}, s, expected.dwte.data(), expected.dwpe.data(), dout.data(),
               operands.tokens.data());
  return expected;
}

constexpr double kLimit = 1e-7;  // of tests/ops/embedding_case.cpp

// Widths with and without packs; sums that cover many chunks, end with one, or begin with one.
constexpr Sizes kSizes[] = {{3, 67, 24, 11}, {2, 101, 13, 5}, {64, 4, 8, 3},
                            {70, 3, 9, 2},   {1, 33, 40, 1},  {2, 16, 272, 2}};

}  // namespace

TEMPLATE_TEST_CASE("embedding's backward on the GPU is the CPU's, however frequent a token",
                   "[gpu]", float, bf16) {
  for (const Sizes& size : kSizes) {
    CAPTURE(size.B, size.T, size.C, size.V);
    const auto operands = draw<TestType>(size);
    const Expected expected = on_host(operands);
    const Gradients first = on_device(operands);
    CHECK(relative_error(first.dwte, expected.dwte) < kLimit);
    CHECK(relative_error(first.dwpe, expected.dwpe) < kLimit);
    for (int order = 1; order < kThreadOrders; ++order) {
      set_thread_order(order);
      const Gradients again = on_device(operands);
      CHECK(same_bits(again.dwte, first.dwte));
      CHECK(same_bits(again.dwpe, first.dwpe));
    }
    set_thread_order(0);
  }
}

TEST_CASE("embedding's backward on the GPU sorts many rows, and tokens of two or three digits",
          "[gpu]") {
  for (const Sizes& size : {Sizes{90, 100, 4, 3}, Sizes{1, 300, 8, 256}, Sizes{2, 150, 8, 257},
                            Sizes{2, 150, 8, 66'000}}) {
    CAPTURE(size.B, size.T, size.V);
    const auto operands = draw<bf16>(size);
    const Expected expected = on_host(operands);
    const Gradients found = on_device(operands);
    CHECK(relative_error(found.dwte, expected.dwte) < kLimit);
    CHECK(relative_error(found.dwpe, expected.dwpe) < kLimit);
  }
}

TEST_CASE("embedding's backward on the GPU without learned positions leaves their gradient alone",
          "[gpu]") {
  const auto operands = draw<float>({3, 23, 13, 7});
  const Gradients found = on_device(operands, false);
  CHECK(relative_error(found.dwte, on_host(operands).dwte) < kLimit);
  CHECK(same_bits(found.dwpe, normal_array<float>("dwpe", 23 * 13)));
}

TEMPLATE_TEST_CASE("embedding on the GPU reads packs of both tables", "[gpu]", float, bf16) {
  constexpr std::int64_t B = 3, T = 5, V = 7, first_position = 2;
  for (const std::int64_t C : {16, 15}) {
    const auto wte = normal_array<TestType>("wte", V * C);
    const auto wpe = normal_array<TestType>("wpe", (first_position + T) * C);
    const auto tokens = integers(1, B * T, 0, V - 1);
    const DeviceArray<TestType> wte_there(wte), wpe_there(wpe), out(B * T * C);
    const DeviceArray<std::int32_t> tokens_there(tokens);
    for (const bool positions : {true, false}) {
      embedding_forward(on_gpu<TestType>(),
                        EmbeddingForward<TestType>{.out = out.data(),
                                                   .tokens = tokens_there.data(),
                                                   .wte = wte_there.data(),
                                                   .wpe = positions ? wpe_there.data() : nullptr,
                                                   .first_position = first_position,
                                                   .B = B,
                                                   .T = T,
                                                   .C = C});
      std::vector<TestType> expected(B * T * C);
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const std::size_t n = i / C, c = i % C, position = first_position + n % T;
        const float token = wte[tokens[n] * C + c];
        expected[i] = static_cast<TestType>(positions ? token + wpe[position * C + c] : token);
      }
      CHECK(same_bits(out.read(), expected));
    }
  }
}

}  // namespace masque::test
