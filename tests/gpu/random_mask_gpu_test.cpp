// Masks on the GPU: the CPU's to the bit, whatever is asked.
#include "kernels/random_mask.h"
#include "tests/support/arrays.h"
#include "tests/support/device_array.h"
#include "tests/support/gpu.h"
// After the engine's own CHECK.
#include "tests/support/catch.h"

namespace masque::test {
namespace {

constexpr std::int32_t kPad = 0, kMask = 1, kStart = 2;

struct Request {
  std::int64_t B = 5, T = 67;
  TSampling sampling = TSampling::stratified;
  Weighting weighting = Weighting::inverse_t;
  double epsilon = 1e-3;
  StepState state = {.seed = 0x123456789abcdefu, .step = 3, .first_row = 40, .normaliser = 1e-3};
};

struct Masked {
  std::vector<std::int32_t> inputs;
  std::vector<float> weights;
};

bool same(const Masked& a, const Masked& b) {
  return same_bits(a.inputs, b.inputs) && same_bits(a.weights, b.weights);
}

template <class Device, class Real>
void run(On<Device, Real> on, const Request& request, std::int32_t* inputs, float* weights,
         const std::int32_t* tokens, const std::int32_t* lengths, const StepState* state) {
  random_mask(on, RandomMask<Real>{.inputs = inputs,
                                   .weights = weights,
                                   .tokens = tokens,
                                   .lengths = lengths,
                                   .state = state,
                                   .sampling = request.sampling,
                                   .weighting = request.weighting,
                                   .epsilon = request.epsilon,
                                   .total_rows = 64,
                                   .mask_token = kMask,
                                   .pad_token = kPad,
                                   .start_token = kStart,
                                   .B = request.B,
                                   .T = request.T});
}

std::vector<std::int32_t> drawn_tokens(const Request& request) {
  return integers(8, request.B * request.T, 0, 9);
}

std::vector<std::int32_t> drawn_lengths(const Request& request) {
  return integers(9, request.B, 0, static_cast<std::int32_t>(request.T));
}

Masked on_host(const Request& request, bool whole_rows) {
  const std::int64_t N = request.B * request.T;
  Masked masked{std::vector<std::int32_t>(N, -9), poisoned<float>(N)};
  const auto tokens = drawn_tokens(request), lengths = drawn_lengths(request);
  run(On<Cpu, float>{}, request, masked.inputs.data(), masked.weights.data(), tokens.data(),
      whole_rows ? nullptr : lengths.data(), &request.state);
  return masked;
}

template <class Real>
Masked on_device(const Request& request, bool whole_rows) {
  const DeviceArray<std::int32_t> tokens(drawn_tokens(request)), lengths(drawn_lengths(request));
  const DeviceArray<std::int32_t> inputs(tokens.size());
  const DeviceArray<float> weights(tokens.size());
  const DeviceArray<StepState> state(std::vector<StepState>{request.state});
  run(on_gpu<Real>(), request, inputs.data(), weights.data(), tokens.data(),
      whole_rows ? nullptr : lengths.data(), state.data());
  return {inputs.read(), weights.read()};
}

template <class Real>
void require_same(const Request& request) {
  for (const bool whole_rows : {true, false}) {
    REQUIRE(same(on_device<Real>(request, whole_rows), on_host(request, whole_rows)));
  }
}

}  // namespace

TEMPLATE_TEST_CASE("random_mask on the GPU draws the CPU's bits", "[gpu]", float, bf16) {
  for (const TSampling sampling : {TSampling::stratified, TSampling::iid, TSampling::batch}) {
    for (const Weighting weighting : {Weighting::inverse_t, Weighting::none}) {
      for (const std::int64_t T : {1, 3, 4, 67, 128}) {
        Request request;
        request.T = T;
        request.sampling = sampling;
        request.weighting = weighting;
        require_same<TestType>(request);
      }
    }
  }
}

TEST_CASE("random_mask on the GPU draws the CPU's bits at any ratio, step and row", "[gpu]") {
  for (std::uint32_t step = 0; step < 40; ++step) {
    Request request;
    request.B = 1;
    request.T = 33;
    request.epsilon = step % 2 == 0 ? 1e-6 : 1.0 / (step + 1);
    request.sampling = TSampling::iid;
    request.state.step = step;
    request.state.first_row = 977 * step;
    require_same<float>(request);
  }
}

TEST_CASE("random_mask on the GPU does not depend on the order of threads", "[gpu]") {
  const Request request;
  const Masked expected = on_host(request, false);
  for (int order = 0; order < kThreadOrders; ++order) {
    set_thread_order(order);
    CHECK(same(on_device<float>(request, false), expected));
  }
  set_thread_order(0);
}

}  // namespace masque::test
