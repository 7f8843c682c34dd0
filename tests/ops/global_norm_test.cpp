#include "kernels/global_norm.h"

#include "tests/support/arrays.h"
#include "tests/support/catch.h"

namespace masque::test {
namespace {

template <class Real>
StepState run(const std::vector<Real>& gradient, double clip) {
  StepState state;
  state.grad_norm = -1;
  state.clip_scale = -1;
  state.finite = -1;
  global_norm(On<Cpu, Real>{}, GlobalNorm<Real>{.state = &state,
                                                .grad = gradient.data(),
                                                .clip = clip,
                                                .n = static_cast<std::int64_t>(gradient.size())});
  return state;
}

TEMPLATE_TEST_CASE("global_norm is the l2 norm", "[cpu]", float, double) {
  for (const std::int64_t n : {1, 3, 16384, 16385, 100003}) {
    const auto gradient = normal_array<TestType>("gradient", n);
    double squares = 0;
    for (const TestType g : gradient) squares += static_cast<double>(g) * static_cast<double>(g);
    const double norm = std::sqrt(squares);
    const StepState state = run(gradient, norm / 2);
    CHECK(state.grad_norm == Approx(norm).epsilon(1e-12));
    CHECK(state.clip_scale == Approx(0.5).epsilon(1e-12));
    CHECK(state.finite == 1);
  }
}

TEST_CASE("clipping only ever shrinks, and 0 turns it off", "[cpu]") {
  const std::vector<float> gradient{3, 4};
  CHECK(run(gradient, 10).clip_scale == 1);
  CHECK(run(gradient, 5).clip_scale == 1);
  CHECK(run(gradient, 1).clip_scale == Approx(0.2));
  CHECK(run(gradient, 0).clip_scale == 1);
  CHECK(run(std::vector<float>(7, 0), 1).clip_scale == 1);
}

TEST_CASE("a gradient that is not finite is told", "[cpu]") {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (const std::size_t at : {0u, 20000u, 49999u}) {
      auto gradient = normal_array<float>("gradient", 50000);
      gradient[at] = bad;
      CHECK(run(gradient, 1).finite == 0);
    }
  }
  // Its square is beyond f32, not beyond the f64 of the sum.
  CHECK(run(std::vector<float>{3e38f, 3e38f}, 1).finite == 1);
}

TEST_CASE("global_norm does not depend on the threads", "[cpu]") {
  const auto gradient = normal_array<float>("gradient", 300007);
  CHECK(same_for_any_threads([&] { return std::vector<double>{run(gradient, 1).grad_norm}; }));
}

}  // namespace
}  // namespace masque::test
