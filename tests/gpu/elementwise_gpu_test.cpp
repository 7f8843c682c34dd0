// The kernels whose elements or rows stand alone, in packs and without: beside the CPU's in f64.
#include <cmath>
#include <string>

#include "kernels/gather_rows.h"
#include "kernels/gelu.h"
#include "kernels/next_token.h"
#include "kernels/rope.h"
#include "kernels/swiglu.h"
#include "tests/support/arrays.h"
#include "tests/support/device_array.h"
#include "tests/support/gpu.h"
// After the engine's own CHECK.
#include "tests/support/catch.h"

namespace masque::test {
namespace {

// f32: of the op cases. bf16: half a unit in the last of its 8 bits.
template <class Real>
constexpr double kLimit = sizeof(Real) == 4 ? 7.5e-7 : 4e-3;

template <class Real>
std::vector<double> as_double(const std::vector<Real>& values) {
  return {values.begin(), values.end()};
}

// Calls run() in each order of threads; what it returns is the same each time.
template <class Function>
auto in_every_order(const Function& run) {
  set_thread_order(0);
  const auto result = run();
  for (int order = 1; order < kThreadOrders; ++order) {
    set_thread_order(order);
    CHECK(same_bits(run(), result));
  }
  set_thread_order(0);
  return result;
}

}  // namespace

TEMPLATE_TEST_CASE("gather_rows on the GPU copies the rows it is asked for", "[gpu]", float, bf16) {
  constexpr std::int64_t N = 9;
  const std::vector<std::int64_t> rows{8, 0, 3, 3, 7};
  const auto K = static_cast<std::int64_t>(rows.size());
  const DeviceArray<std::int64_t> rows_there(rows);
  for (const std::int64_t C : {1, 13, 264}) {
    const auto x = normal_array<TestType>("x", N * C);
    const DeviceArray<TestType> x_there(x);
    const auto found = in_every_order([&] {
      const DeviceArray<TestType> out(K * C);
      gather_rows(
          on_gpu<TestType>(),
          GatherRows<TestType>{
              .out = out.data(), .x = x_there.data(), .rows = rows_there.data(), .K = K, .C = C});
      return out.read();
    });
    std::vector<TestType> expected;
    for (const std::int64_t row : rows) {
      expected.insert(expected.end(), x.begin() + row * C, x.begin() + (row + 1) * C);
    }
    CHECK(same_bits(found, expected));
  }
}

TEMPLATE_TEST_CASE("next_token on the GPU gives the CPU's bits", "[gpu]", float, bf16) {
  constexpr std::int64_t B = 5;
  for (const std::int64_t T : {1, 3, 67}) {
    for (const std::int32_t first_token : {-1, 2}) {
      for (const bool whole_rows : {true, false}) {
        const std::int64_t N = B * T;
        const StepState state{.seed = 9, .step = 4, .first_row = 3, .normaliser = 1.0 / 3};
        const double input_masking = whole_rows ? 0 : 0.3;
        const auto tokens = integers(6, first_token < 0 ? N + B : N, 0, 90);
        const auto lengths = integers(7, B, 0, static_cast<std::int32_t>(T));
        const auto run = [&](auto on, std::int32_t* inputs, std::int32_t* targets, float* weights,
                             const std::int32_t* from, const std::int32_t* until,
                             const StepState* step) {
          next_token(on, {.inputs = inputs,
                          .targets = targets,
                          .weights = weights,
                          .tokens = from,
                          .lengths = whole_rows ? nullptr : until,
                          .state = step,
                          .first_token = first_token,
                          .input_masking = input_masking,
                          .mask_token = 1,
                          .B = B,
                          .T = T});
        };
        std::vector<std::int32_t> inputs(N), targets(N);
        std::vector<float> weights(N);
        run(On<Cpu, float>{}, inputs.data(), targets.data(), weights.data(), tokens.data(),
            lengths.data(), &state);
        const DeviceArray<std::int32_t> tokens_there(tokens), lengths_there(lengths);
        const DeviceArray<StepState> state_there(std::vector<StepState>{state});
        const DeviceArray<std::int32_t> inputs_there(N), targets_there(N);
        const DeviceArray<float> weights_there(N);
        run(on_gpu<TestType>(), inputs_there.data(), targets_there.data(), weights_there.data(),
            tokens_there.data(), lengths_there.data(), state_there.data());
        CHECK(same_bits(inputs_there.read(), inputs));
        CHECK(same_bits(targets_there.read(), targets));
        CHECK(same_bits(weights_there.read(), weights));
      }
    }
  }
}

TEMPLATE_TEST_CASE("gelu on the GPU, whole packs and a rest", "[gpu]", float, bf16) {
  for (const std::int64_t n : {1, 8, 1003, 4096}) {
    const auto x = normal_array<TestType>("x", n, 3), dout = normal_array<TestType>("dout", n);
    const DeviceArray<TestType> x_there(x), dout_there(dout), out(n), dx(n);
    gelu_forward(on_gpu<TestType>(), {.out = out.data(), .x = x_there.data(), .n = n});
    gelu_backward(on_gpu<TestType>(),
                  {.dx = dx.data(), .dout = dout_there.data(), .x = x_there.data(), .n = n});
    const auto exact_x = as_double(x), exact_dout = as_double(dout);
    std::vector<double> expected(n), expected_dx(n);
    gelu_forward(On<Cpu, double>{}, {.out = expected.data(), .x = exact_x.data(), .n = n});
    gelu_backward(
        On<Cpu, double>{},
        {.dx = expected_dx.data(), .dout = exact_dout.data(), .x = exact_x.data(), .n = n});
    CHECK(relative_error(out.read(), expected) < kLimit<TestType>);
    CHECK(relative_error(dx.read(), expected_dx) < kLimit<TestType>);
  }
}

TEMPLATE_TEST_CASE("swiglu on the GPU, rows with and without packs", "[gpu]", float, bf16) {
  constexpr std::int64_t N = 7;
  for (const std::int64_t F : {1, 13, 48, 300}) {
    const auto gate_up = normal_array<TestType>("gate_up", N * 2 * F, 3);
    const auto dout = normal_array<TestType>("dout", N * F);
    const DeviceArray<TestType> gate_up_there(gate_up), dout_there(dout);
    const auto found = in_every_order([&] {
      const DeviceArray<TestType> out(N * F);
      swiglu_forward(on_gpu<TestType>(),
                     {.out = out.data(), .gate_up = gate_up_there.data(), .N = N, .F = F});
      return out.read();
    });
    const auto found_gradient = in_every_order([&] {
      const DeviceArray<TestType> dgate_up(N * 2 * F);
      swiglu_backward(on_gpu<TestType>(), {.dgate_up = dgate_up.data(),
                                           .dout = dout_there.data(),
                                           .gate_up = gate_up_there.data(),
                                           .N = N,
                                           .F = F});
      return dgate_up.read();
    });
    const auto exact_gate_up = as_double(gate_up), exact_dout = as_double(dout);
    std::vector<double> expected(N * F), expected_gradient(N * 2 * F);
    swiglu_forward(On<Cpu, double>{},
                   {.out = expected.data(), .gate_up = exact_gate_up.data(), .N = N, .F = F});
    swiglu_backward(On<Cpu, double>{}, {.dgate_up = expected_gradient.data(),
                                        .dout = exact_dout.data(),
                                        .gate_up = exact_gate_up.data(),
                                        .N = N,
                                        .F = F});
    CHECK(relative_error(found, expected) < kLimit<TestType>);
    CHECK(relative_error(found_gradient, expected_gradient) < kLimit<TestType>);
  }
}

TEMPLATE_TEST_CASE("gelu and swiglu on the GPU are 0 or the identity far from 0", "[gpu]", float,
                   bf16) {
  const std::vector<float> far = {-1e9f, -1e4f, -100, 100, 1e4f, 1e9f};
  std::vector<TestType> x, gate_up;
  for (const float value : far) {
    x.push_back(static_cast<TestType>(value));
    gate_up.push_back(static_cast<TestType>(value));
    gate_up.push_back(static_cast<TestType>(1.0f));
  }
  const auto n = static_cast<std::int64_t>(x.size());
  const DeviceArray<TestType> x_there(x), gate_up_there(gate_up), gelus(n), swiglus(n);
  gelu_forward(on_gpu<TestType>(), {.out = gelus.data(), .x = x_there.data(), .n = n});
  swiglu_forward(on_gpu<TestType>(),
                 {.out = swiglus.data(), .gate_up = gate_up_there.data(), .N = n, .F = 1});
  for (const auto& found : {gelus.read(), swiglus.read()}) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      CHECK(static_cast<float>(found[i]) == Approx(x[i] > 0 ? x[i] : 0.0f).margin(1e-30));
    }
  }
}

TEMPLATE_TEST_CASE("rope on the GPU turns as the CPU does, at early and late positions", "[gpu]",
                   float, bf16) {
  struct Sizes {
    std::int64_t B, T, NH, HS, first_position;
    double theta;
  };
  for (const Sizes& s :
       {Sizes{1, 1, 1, 2, 0, 10000}, Sizes{2, 7, 3, 6, 5, 10000}, Sizes{2, 9, 2, 16, 0, 10000},
        Sizes{1, 5, 2, 64, 8187, 500000}, Sizes{3, 1, 1, 128, 4095, 10000}}) {
    CAPTURE(s.B, s.T, s.NH, s.HS, s.first_position);
    const std::int64_t count = s.B * s.T * 3 * s.NH * s.HS;
    const auto qkv = normal_array<TestType>("qkv", count);
    const auto args = [&](auto* values) {
      using Real = std::remove_reference_t<decltype(*values)>;
      return Rope<Real>{.qkv = values,
                        .first_position = s.first_position,
                        .theta = s.theta,
                        .B = s.B,
                        .T = s.T,
                        .NH = s.NH,
                        .HS = s.HS};
    };
    const auto found = in_every_order([&] {
      const DeviceArray<TestType> there(qkv);
      rope_forward(on_gpu<TestType>(), args(there.data()));
      return there.read();
    });
    auto expected = as_double(qkv);
    rope_forward(On<Cpu, double>{}, args(expected.data()));
    const double limit = sizeof(TestType) == 4 ? 1e-7 : 4e-3;
    CHECK(relative_error(found, expected) < limit);

    const DeviceArray<TestType> back(found);
    rope_backward(on_gpu<TestType>(), args(back.data()));
    auto expected_back = as_double(found);
    rope_backward(On<Cpu, double>{}, args(expected_back.data()));
    CHECK(relative_error(back.read(), expected_back) < limit);
  }
}

}  // namespace masque::test
