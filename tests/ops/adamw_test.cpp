#include "kernels/adamw.h"

#include "tests/support/arrays.h"
#include "tests/support/catch.h"

namespace masque::test {
namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.95, kEps = 1e-8, kDecay = 0.1, kEmaDecay = 0.8;

template <class Real>
struct Weights {
  explicit Weights(std::int64_t n)
      : master(normal_array<Real>("master", n)),
        compute(poisoned<Real>(n)),
        m(static_cast<std::size_t>(n)),
        v(static_cast<std::size_t>(n)),
        ema(master) {}

  std::vector<Real> master, compute, m, v, ema;
};

template <class Real>
void update(Weights<Real>& weights, const std::vector<Real>& gradient, const StepState& state,
            std::int64_t n_decay) {
  adamw(On<Cpu, Real>{}, AdamW<Real>{.master = weights.master.data(),
                                     .compute = weights.compute.data(),
                                     .m = weights.m.data(),
                                     .v = weights.v.data(),
                                     .ema = weights.ema.data(),
                                     .grad = gradient.data(),
                                     .state = &state,
                                     .beta1 = kBeta1,
                                     .beta2 = kBeta2,
                                     .eps = kEps,
                                     .decay = kDecay,
                                     .ema_decay = kEmaDecay,
                                     .n = static_cast<std::int64_t>(gradient.size()),
                                     .n_decay = n_decay});
}

StepState state_at(std::uint32_t step) {
  StepState state;
  state.step = step;
  state.lr = 1e-2 / (1 + step);
  state.clip_scale = step % 2 == 0 ? 1 : 0.3;
  return state;
}

template <class Real>
std::vector<Real> gradient_at(std::uint32_t step, std::int64_t n) {
  return normal_array<Real>("gradient " + std::to_string(step), n);
}

// Algorithm 2 of arXiv:1711.05101, as written there.
void reference_update(Weights<double>& weights, const std::vector<double>& gradient,
                      const StepState& state, std::size_t n_decay) {
  const double k = state.step + 1.0;
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    const double g = state.clip_scale * gradient[i];
    weights.m[i] = kBeta1 * weights.m[i] + (1 - kBeta1) * g;
    weights.v[i] = kBeta2 * weights.v[i] + (1 - kBeta2) * g * g;
    const double m_hat = weights.m[i] / (1 - std::pow(kBeta1, k));
    const double v_hat = weights.v[i] / (1 - std::pow(kBeta2, k));
    const double decay = i < n_decay ? kDecay : 0;
    weights.master[i] -= state.lr * (m_hat / (std::sqrt(v_hat) + kEps) + decay * weights.master[i]);
    weights.ema[i] = kEmaDecay * weights.ema[i] + (1 - kEmaDecay) * weights.master[i];
  }
}

TEMPLATE_TEST_CASE("adamw equals its algorithm over several steps", "[cpu]", float, double) {
  for (const std::int64_t n : {1, 7, 1000, 20011}) {
    for (const std::int64_t n_decay : {std::int64_t{0}, n / 2, n}) {
      Weights<TestType> weights(n);
      Weights<double> expected(n);
      for (std::uint32_t step = 0; step < 7; ++step) {
        update(weights, gradient_at<TestType>(step, n), state_at(step), n_decay);
        reference_update(expected, gradient_at<double>(step, n), state_at(step),
                         static_cast<std::size_t>(n_decay));
      }
      CAPTURE(n, n_decay);
      CHECK(relative_error(weights.m, expected.m) < kTolerance<TestType>);
      CHECK(relative_error(weights.v, expected.v) < kTolerance<TestType>);
      CHECK(relative_error(weights.master, expected.master) < kTolerance<TestType>);
      CHECK(relative_error(weights.ema, expected.ema) < kTolerance<TestType>);
      CHECK(same_bits(weights.compute, weights.master));
    }
  }
}

TEST_CASE("only the first n_decay weights decay", "[cpu]") {
  const std::int64_t n = 50, n_decay = 20;
  Weights<double> weights(n);
  const Weights<double> before(n);
  const StepState state = state_at(0);
  update(weights, std::vector<double>(50, 0), state, n_decay);
  for (std::int64_t i = 0; i < n; ++i) {
    const double factor = i < n_decay ? 1 - state.lr * kDecay : 1;
    CHECK(weights.master[i] == Approx(before.master[i] * factor).epsilon(1e-15));
  }
}

TEST_CASE("nothing changes where a gradient was not finite", "[cpu]") {
  Weights<float> weights(100);
  update(weights, gradient_at<float>(0, 100), state_at(0), 50);
  const Weights<float> before = weights;
  StepState state = state_at(1);
  state.finite = 0;
  update(weights, poisoned<float>(100), state, 50);
  CHECK(same_bits(weights.master, before.master));
  CHECK(same_bits(weights.compute, before.compute));
  CHECK(same_bits(weights.m, before.m));
  CHECK(same_bits(weights.v, before.v));
  CHECK(same_bits(weights.ema, before.ema));
}

TEST_CASE("adamw does not depend on the threads", "[cpu]") {
  const std::int64_t n = 100003;
  const auto gradient = gradient_at<float>(0, n);
  CHECK(same_for_any_threads([&] {
    Weights<float> weights(n);
    for (std::uint32_t step = 0; step < 3; ++step) {
      update(weights, gradient, state_at(step), n / 2 + 1);
    }
    return weights.ema;
  }));
}

}  // namespace
}  // namespace masque::test
