// layernorm and rmsnorm against their formulas in f64: statistics, outputs, gradients, aliasing.
#include "kernels/layernorm.h"
#include "kernels/rmsnorm.h"
#include "tests/support/arrays.h"
#include "tests/support/catch.h"

namespace masque::test {
namespace {

constexpr double kEps = 1e-5;

struct NormShape {
  std::int64_t N, C;
};

constexpr NormShape kShapes[] = {{1, 1}, {3, 7}, {9, 33}, {17, 128}, {131, 257}};

template <class Real>
struct NormRun {
  std::vector<Real> out, dx;
  std::vector<stat_t<Real>> mean, rstd;
  std::vector<param_t<Real>> dweight, dbias;
};

// The operands of every run of a shape: drawn by name, rounded to f32, the same in both types.
template <class Real>
struct Operands {
  explicit Operands(const NormShape& s)
      : x(normal_array<Real>("x", s.N * s.C)),
        dout(normal_array<Real>("dout", s.N * s.C)),
        dresidual(normal_array<Real>("dresidual", s.N * s.C)),
        weight(normal_array<param_t<Real>>("weight", s.C)),
        bias(normal_array<param_t<Real>>("bias", s.C)) {}

  std::vector<Real> x, dout, dresidual;
  std::vector<param_t<Real>> weight, bias;
};

// dx takes the place of dresidual, as core/ops does it.
template <class Real>
NormRun<Real> run(const NormShape& s, bool layernorm, bool bias, bool residual) {
  const Operands<Real> in(s);
  NormRun<Real> r{poisoned<Real>(s.N * s.C),
                  residual ? in.dresidual : poisoned<Real>(s.N * s.C),
                  std::vector<stat_t<Real>>(static_cast<std::size_t>(s.N)),
                  poisoned<stat_t<Real>>(s.N),
                  normal_array<param_t<Real>>("dweight", s.C),
                  normal_array<param_t<Real>>("dbias", s.C)};
  const Real* dresidual = residual ? r.dx.data() : nullptr;
  if (layernorm) {
    layernorm_forward(On<Cpu, Real>{},
                      LayernormForward<Real>{.out = r.out.data(),
                                             .mean = r.mean.data(),
                                             .rstd = r.rstd.data(),
                                             .x = in.x.data(),
                                             .weight = in.weight.data(),
                                             .bias = bias ? in.bias.data() : nullptr,
                                             .eps = kEps,
                                             .N = s.N,
                                             .C = s.C});
    layernorm_backward(On<Cpu, Real>{},
                       LayernormBackward<Real>{.dx = r.dx.data(),
                                               .dweight = r.dweight.data(),
                                               .dbias = bias ? r.dbias.data() : nullptr,
                                               .dout = in.dout.data(),
                                               .dresidual = dresidual,
                                               .x = in.x.data(),
                                               .mean = r.mean.data(),
                                               .rstd = r.rstd.data(),
                                               .weight = in.weight.data(),
                                               .N = s.N,
                                               .C = s.C});
    return r;
  }
  rmsnorm_forward(On<Cpu, Real>{}, RmsnormForward<Real>{.out = r.out.data(),
                                                        .rstd = r.rstd.data(),
                                                        .x = in.x.data(),
                                                        .weight = in.weight.data(),
                                                        .eps = kEps,
                                                        .N = s.N,
                                                        .C = s.C});
  rmsnorm_backward(On<Cpu, Real>{}, RmsnormBackward<Real>{.dx = r.dx.data(),
                                                          .dweight = r.dweight.data(),
                                                          .dout = in.dout.data(),
                                                          .dresidual = dresidual,
                                                          .x = in.x.data(),
                                                          .rstd = r.rstd.data(),
                                                          .weight = in.weight.data(),
                                                          .N = s.N,
                                                          .C = s.C});
  return r;
}

// The same by the full Jacobian of a row, without the kernels' algebra:
// ∂x̂_j/∂x_i = rstd·(δ_ij − centred/C − x̂_i·x̂_j/C).
NormRun<double> reference(const NormShape& s, bool layernorm, bool bias, bool residual) {
  const Operands<double> in(s);
  const std::size_t size = in.x.size();
  NormRun<double> r{std::vector<double>(size),
                    residual ? in.dresidual : std::vector<double>(size),
                    std::vector<double>(static_cast<std::size_t>(s.N)),
                    std::vector<double>(static_cast<std::size_t>(s.N)),
                    normal_array<double>("dweight", s.C),
                    normal_array<double>("dbias", s.C)};
  const double C = static_cast<double>(s.C), centred = layernorm ? 1 : 0;
  for (std::int64_t n = 0; n < s.N; ++n) {
    const double* x = in.x.data() + n * s.C;
    double mean = 0, square = 0;
    for (std::int64_t c = 0; c < s.C; ++c) mean += centred * x[c] / C;
    for (std::int64_t c = 0; c < s.C; ++c) square += (x[c] - mean) * (x[c] - mean) / C;
    const double rstd = 1 / std::sqrt(square + kEps);
    r.mean[n] = mean;
    r.rstd[n] = rstd;
    for (std::int64_t j = 0; j < s.C; ++j) {
      const double normed_j = (x[j] - mean) * rstd, dout = in.dout[n * s.C + j];
      const bool with_bias = layernorm && bias;
      r.out[n * s.C + j] = normed_j * in.weight[j] + (with_bias ? in.bias[j] : 0);
      r.dweight[j] += dout * normed_j;
      if (with_bias) r.dbias[j] += dout;
      for (std::int64_t i = 0; i < s.C; ++i) {
        const double normed_i = (x[i] - mean) * rstd, same = i == j ? 1 : 0;
        const double slope = rstd * (same - centred / C - normed_i * normed_j / C);
        r.dx[n * s.C + i] += dout * in.weight[j] * slope;
      }
    }
  }
  return r;
}

TEMPLATE_TEST_CASE("norms equal their formulas", "[cpu]", float, double) {
  for (const NormShape& s : kShapes) {
    for (const bool layernorm : {true, false}) {
      for (const bool option : {true, false}) {
        const auto got = run<TestType>(s, layernorm, option, option);
        const auto expected = reference(s, layernorm, option, option);
        CAPTURE(s.N, s.C, layernorm, option);
        const double tolerance = kTolerance<TestType>;
        CHECK(relative_error(got.out, expected.out) < tolerance);
        if (layernorm) CHECK(relative_error(got.mean, expected.mean) < tolerance);
        CHECK(relative_error(got.rstd, expected.rstd) < tolerance);
        CHECK(relative_error(got.dweight, expected.dweight) < tolerance);
        CHECK(relative_error(got.dbias, expected.dbias) < tolerance);
        // A row of one element has gradient rstd·eps-small: only its absolute size is checked.
        if (s.C > 1) CHECK(relative_error(got.dx, expected.dx) < tolerance);
      }
    }
  }
}

TEST_CASE("layernorm keeps its precision far from 0", "[cpu]") {
  const std::int64_t C = 384;
  auto x = normal_array<float>("x", C);
  for (float& value : x) value += 1000;
  double mean = 0, square = 0;
  for (const float value : x) mean += static_cast<double>(value) / C;
  for (const float value : x) square += (value - mean) * (value - mean) / C;
  const std::vector<float> weight(C, 1);
  auto out = poisoned<float>(C);
  float got_mean = 0, rstd = 0;
  layernorm_forward(On<Cpu, float>{}, LayernormForward<float>{.out = out.data(),
                                                              .mean = &got_mean,
                                                              .rstd = &rstd,
                                                              .x = x.data(),
                                                              .weight = weight.data(),
                                                              .bias = nullptr,
                                                              .eps = kEps,
                                                              .N = 1,
                                                              .C = C});
  CHECK(rstd == Approx(1 / std::sqrt(square + kEps)).epsilon(1e-5));
}

TEST_CASE("norms do not depend on the threads", "[cpu]") {
  const NormShape s = kShapes[4];
  for (const bool layernorm : {true, false}) {
    CHECK(same_for_any_threads([=] { return run<float>(s, layernorm, true, true).out; }));
    CHECK(same_for_any_threads([=] { return run<float>(s, layernorm, true, true).dx; }));
    CHECK(same_for_any_threads([=] { return run<float>(s, layernorm, true, true).dweight; }));
    CHECK(same_for_any_threads([=] { return run<float>(s, layernorm, true, true).dbias; }));
  }
}

}  // namespace
}  // namespace masque::test
