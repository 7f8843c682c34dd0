#include "kernels/adamw.h"
#include "kernels/global_norm.h"
#include "tests/support/arrays.h"
#include "tests/support/device_array.h"
#include "tests/support/gpu.h"
// After the engine's own headers.
#include "tests/support/catch.h"

namespace masque::test {
namespace {

// On the GPU, of a gradient that begins `offset` elements past an aligned address.
template <class Real>
StepState norm_on_gpu(const std::vector<float>& gradient, double clip, std::size_t offset = 0) {
  StepState before;
  before.grad_norm = before.clip_scale = -1;
  before.finite = -1;
  std::vector<float> shifted(offset, std::numeric_limits<float>::quiet_NaN());
  shifted.insert(shifted.end(), gradient.begin(), gradient.end());
  const DeviceArray<float> grad(shifted);
  const DeviceArray<StepState> state(std::vector<StepState>{before});
  global_norm(on_gpu<Real>(), GlobalNorm<Real>{.state = state.data(),
                                               .grad = grad.data() + offset,
                                               .clip = clip,
                                               .n = static_cast<std::int64_t>(gradient.size())});
  return state.read()[0];
}

TEMPLATE_TEST_CASE("GPU global_norm is the l2 norm, in one order of the sum", "[gpu]", float,
                   bf16) {
  for (const std::int64_t n : {1, 3, 1021, 16385, 70001}) {
    const auto gradient = normal_array<float>("gradient", n);
    double squares = 0;
    for (const float g : gradient) squares += static_cast<double>(g) * static_cast<double>(g);
    const double norm = std::sqrt(squares);
    for (const std::size_t offset : {0u, 1u}) {
      CAPTURE(n, offset);
      const StepState state = norm_on_gpu<TestType>(gradient, norm / 2, offset);
      CHECK(state.grad_norm == Approx(norm).epsilon(1e-13));
      CHECK(state.clip_scale == Approx(0.5).epsilon(1e-13));
      CHECK(state.finite == 1);
      for (int order = 1; order < kThreadOrders; ++order) {
        set_thread_order(order);
        CHECK(norm_on_gpu<TestType>(gradient, norm / 2, offset).grad_norm == state.grad_norm);
      }
      set_thread_order(0);
    }
  }
}

TEST_CASE("GPU global_norm: clipping only ever shrinks, and 0 turns it off", "[gpu]") {
  const std::vector<float> gradient{3, 4};
  CHECK(norm_on_gpu<float>(gradient, 10).clip_scale == 1);
  CHECK(norm_on_gpu<float>(gradient, 1).clip_scale == Approx(0.2));
  CHECK(norm_on_gpu<float>(gradient, 0).clip_scale == 1);
  CHECK(norm_on_gpu<float>(std::vector<float>(7, 0), 1).clip_scale == 1);
}

TEST_CASE("GPU global_norm tells a gradient that is not finite", "[gpu]") {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    for (const std::size_t at : {0u, 5000u, 9998u}) {
      auto gradient = normal_array<float>("gradient", 9999);
      gradient[at] = bad;
      CHECK(norm_on_gpu<float>(gradient, 1).finite == 0);
    }
  }
  // Its square is beyond f32, not beyond the f64 of the sum.
  CHECK(norm_on_gpu<float>(std::vector<float>{3e38f, 3e38f}, 1).finite == 1);
}

TEST_CASE("GPU global_norm counts the updates that are skipped", "[gpu]") {
  const DeviceArray<StepState> state(std::vector<StepState>{{}});
  const DeviceArray<std::int64_t> skipped(std::vector<std::int64_t>{5});
  const auto norm = [&](float gradient) {
    const DeviceArray<float> grad(std::vector<float>{1, gradient});
    global_norm(on_gpu<float>(), GlobalNorm<float>{.state = state.data(),
                                                   .skipped = skipped.data(),
                                                   .grad = grad.data(),
                                                   .clip = 1,
                                                   .n = 2});
    return skipped.read()[0];
  };
  CHECK(norm(2) == 5);
  CHECK(norm(std::numeric_limits<float>::infinity()) == 6);
  CHECK(norm(2) == 6);
}

struct Setting {
  std::int64_t n, n_decay;
  bool ema = true, compute = true;
  std::size_t offset = 0;  // of every array from an aligned address
};

template <class Real>
struct Weights {
  std::vector<float> master, m, v, ema;
  std::vector<Real> compute;

  bool operator==(const Weights& other) const {
    return same_bits(master, other.master) && same_bits(m, other.m) && same_bits(v, other.v) &&
           same_bits(ema, other.ema) && same_bits(compute, other.compute);
  }
};

template <class Real>
Weights<Real> first_weights(const Setting& setting) {
  const auto n = setting.n + static_cast<std::int64_t>(setting.offset);
  const std::vector<float> zeros(static_cast<std::size_t>(n), 0.0f);
  const auto master = normal_array<float>("master", n);
  return {master, zeros, zeros, master, normal_array<Real>("compute", n)};
}

StepState state_at(std::uint32_t step) {
  StepState state;
  state.step = step;
  state.lr = 1e-2 / (1 + step);
  state.clip_scale = step % 2 == 0 ? 1 : 0.3;
  return state;
}

template <class Real>
AdamW<Real> options(const Setting& setting) {
  AdamW<Real> args{};
  args.beta1 = 0.9;
  args.beta2 = 0.95;
  args.eps = 1e-8;
  args.decay = 0.1;
  args.ema_decay = 0.8;
  args.n = setting.n;
  args.n_decay = setting.n_decay;
  return args;
}

template <class Real>
Weights<Real> update_on_gpu(const Setting& setting, const Weights<Real>& weights,
                            const std::vector<float>& gradient, const StepState& step_state) {
  const DeviceArray<float> master(weights.master), m(weights.m), v(weights.v), ema(weights.ema);
  const DeviceArray<float> grad(gradient);
  const DeviceArray<Real> compute(weights.compute);
  const DeviceArray<StepState> state(std::vector<StepState>{step_state});
  AdamW<Real> args = options<Real>(setting);
  args.master = master.data() + setting.offset;
  args.compute = setting.compute ? compute.data() + setting.offset : nullptr;
  args.m = m.data() + setting.offset;
  args.v = v.data() + setting.offset;
  args.ema = setting.ema ? ema.data() + setting.offset : nullptr;
  args.grad = grad.data() + setting.offset;
  args.state = state.data();
  adamw(on_gpu<Real>(), args);
  return {master.read(), m.read(), v.read(), ema.read(), compute.read()};
}

void update_on_cpu(const Setting& setting, Weights<float>& weights,
                   const std::vector<float>& gradient, const StepState& state) {
  AdamW<float> args = options<float>(setting);
  args.master = weights.master.data() + setting.offset;
  args.m = weights.m.data() + setting.offset;
  args.v = weights.v.data() + setting.offset;
  args.ema = setting.ema ? weights.ema.data() + setting.offset : nullptr;
  args.grad = gradient.data() + setting.offset;
  args.state = &state;
  adamw(On<Cpu, float>{}, args);
}

template <class Real>
void check_updates(const Setting& setting) {
  CAPTURE(setting.n, setting.n_decay, setting.ema, setting.compute, setting.offset);
  constexpr double kFewUlp = 1e-7;
  Weights<Real> weights = first_weights<Real>(setting);
  Weights<float> expected = first_weights<float>(setting);
  const auto compute_before = weights.compute;
  for (std::uint32_t step = 0; step < 3; ++step) {
    const auto gradient = normal_array<float>(
        "gradient " + std::to_string(step), setting.n + static_cast<std::int64_t>(setting.offset));
    const Weights<Real> before = weights;
    weights = update_on_gpu(setting, before, gradient, state_at(step));
    update_on_cpu(setting, expected, gradient, state_at(step));
    for (int order = 1; order < kThreadOrders; ++order) {
      set_thread_order(order);
      CHECK(update_on_gpu(setting, before, gradient, state_at(step)) == weights);
    }
    set_thread_order(0);
  }
  CHECK(relative_error(weights.m, expected.m) < kFewUlp);
  CHECK(relative_error(weights.v, expected.v) < kFewUlp);
  CHECK(relative_error(weights.master, expected.master) < kFewUlp);
  CHECK(relative_error(weights.ema, expected.ema) < kFewUlp);
  for (std::size_t i = setting.offset; i < weights.compute.size(); ++i) {
    const Real copy = static_cast<Real>(weights.master[i]);
    REQUIRE(weights.compute[i] == (setting.compute ? copy : compute_before[i]));
  }
}

TEMPLATE_TEST_CASE("GPU adamw equals the CPU's, and writes the compute copy", "[gpu]", float,
                   bf16) {
  check_updates<TestType>({.n = 1, .n_decay = 1});
  check_updates<TestType>({.n = 7, .n_decay = 3});
  check_updates<TestType>({.n = 1000, .n_decay = 0, .ema = false});
  check_updates<TestType>({.n = 5003, .n_decay = 2002});
  check_updates<TestType>({.n = 5000, .n_decay = 5000, .compute = false});
  check_updates<TestType>({.n = 601, .n_decay = 300, .offset = 1});
}

TEMPLATE_TEST_CASE("GPU adamw changes nothing where a gradient was not finite", "[gpu]", float,
                   bf16) {
  const Setting setting{.n = 103, .n_decay = 50};
  const auto before = first_weights<TestType>(setting);
  StepState state = state_at(1);
  state.finite = 0;
  CHECK(update_on_gpu(setting, before, poisoned<float>(103), state) == before);
}

}  // namespace
}  // namespace masque::test
