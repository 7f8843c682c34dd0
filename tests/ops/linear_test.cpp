#include "kernels/linear.h"

#include <type_traits>
#include <vector>

#include "kernels/bf16.h"
#include "kernels/gemm.h"
#include "tests/support/arrays.h"
#include "tests/support/catch.h"
#include "tests/support/cpu_levels.h"

namespace masque::test {
namespace {

struct Case {
  std::int64_t M, N, K;
};

const std::vector<Case> kShapes = {{1, 1, 1},     {1, 7, 3},      {2, 33, 17},    {13, 1, 5},
                                   {7, 31, 64},   {8, 32, 256},   {9, 16, 257},   {127, 65, 31},
                                   {33, 67, 13},  {64, 128, 96},  {257, 129, 63}, {2049, 37, 19},
                                   {31, 67, 521}, {33, 67, 1303}, {64, 96, 2048}};

// bf16 sums in f32: as exact as f32 where C is wide, else rounded once.
template <class Real, class Out>
constexpr double kLimit = std::is_same_v<Out, bf16> ? 0x1p-8 : kTolerance<Out>;

// Out: Real for c, or param_t<Real> for wide.
template <class Real, class Out>
void check_gemm(const Case& shape, bool transpose_a, bool transpose_b, bool accumulate,
                bool with_bias) {
  const std::int64_t M = shape.M, N = shape.N, K = shape.K;
  const auto a = normal_array<Real>("a", M * K), b = normal_array<Real>("b", K * N),
             bias = normal_array<Real>("bias", N);
  auto c = accumulate ? normal_array<Out>("c", M * N) : poisoned<Out>(M * N);
  const auto before = c;
  Gemm<Real> product{.a = a.data(), .b = b.data(), .M = M, .N = N, .K = K};
  if constexpr (std::is_same_v<Real, Out>) {
    product.c = c.data();
  } else {
    product.wide = c.data();
  }
  product.bias = with_bias ? bias.data() : nullptr;
  product.transpose_a = transpose_a;
  product.transpose_b = transpose_b;
  product.accumulate = accumulate;
  gemm(On<Cpu, Real>{}, product);
  std::vector<double> wanted(M * N);
  for (std::int64_t m = 0; m < M; ++m) {
    for (std::int64_t n = 0; n < N; ++n) {
      double sum = accumulate ? double(before[m * N + n]) : with_bias ? double(bias[n]) : 0;
      for (std::int64_t k = 0; k < K; ++k) {
        sum += static_cast<double>(a[transpose_a ? k * M + m : m * K + k]) *
               static_cast<double>(b[transpose_b ? n * K + k : k * N + n]);
      }
      wanted[m * N + n] = sum;
    }
  }
  CAPTURE(M, N, K, transpose_a, transpose_b, accumulate, with_bias);
  CHECK(relative_error(c, wanted) <= (kLimit<Real, Out>));
}

template <class Real, class Out>
void check_gemm_all() {
  for (const Case& shape : kShapes) {
    for (const bool transpose_a : {false, true}) {
      for (const bool transpose_b : {false, true}) {
        check_gemm<Real, Out>(shape, transpose_a, transpose_b, false, false);
        check_gemm<Real, Out>(shape, transpose_a, transpose_b, false, true);
        check_gemm<Real, Out>(shape, transpose_a, transpose_b, true, false);
      }
    }
  }
}

TEST_CASE("gemm equals a naive product, at every level", "[cpu]") {
  at_every_cpu_level([] {
    check_gemm_all<float, float>();
    check_gemm_all<double, double>();
    check_gemm_all<bf16, bf16>();
    check_gemm_all<bf16, float>();
  });
}

TEST_CASE("gemm in bf16 gives the same bits for any number of threads", "[cpu]") {
  const std::vector<Case> shapes = {{130, 96, 67}, {96, 67, 2500}, {704, 129, 1100}};
  for (const Case& shape : shapes) {
    CAPTURE(shape.M, shape.N, shape.K);
    const std::int64_t M = shape.M, N = shape.N, K = shape.K;
    const auto a = normal_array<bf16>("a", M * K), b = normal_array<bf16>("b", K * N);
    Gemm<bf16> product{.a = a.data(), .b = b.data(), .M = M, .N = N, .K = K};
    at_every_cpu_level([&] {
      CHECK(same_for_any_threads([&] {  // an activation
        auto c = poisoned<bf16>(M * N);
        product.c = c.data();
        product.transpose_b = true;
        gemm(On<Cpu, bf16>{}, product);
        return c;
      }));
      CHECK(same_for_any_threads([&] {  // the gradient of a weight
        auto c = normal_array<float>("c", M * N);
        Gemm<bf16> gradient = product;
        gradient.c = nullptr;
        gradient.wide = c.data();
        gradient.transpose_a = true;
        gradient.transpose_b = false;
        gradient.accumulate = true;
        gemm(On<Cpu, bf16>{}, gradient);
        return c;
      }));
    });
  }
}

TEST_CASE("gemm of empty matrices", "[cpu]") {
  at_every_cpu_level([] {
    std::vector<float> c(6, 5.0f);
    const std::vector<float> bias = {1, 2, 3};
    const On<Cpu, float> on;
    Gemm<float> args{
        .c = c.data(), .a = nullptr, .b = nullptr, .accumulate = true, .M = 2, .N = 3, .K = 0};
    gemm(on, args);
    CHECK(c == std::vector<float>(6, 5.0f));
    args.accumulate = false;
    gemm(on, args);
    CHECK(c == std::vector<float>(6, 0.0f));
    args.bias = bias.data();
    gemm(on, args);
    CHECK(c == std::vector<float>{1, 2, 3, 1, 2, 3});
    args.K = 4;
    args.M = 0;
    gemm(on, args);
    args.M = 2;
    args.N = 0;
    gemm(on, args);
    CHECK(c == std::vector<float>{1, 2, 3, 1, 2, 3});
  });
}

template <class Real>
struct Gradients {
  std::vector<Real> out, dx, dweight, dbias;
};

template <class Real>
Gradients<Real> run_linear(std::int64_t N, std::int64_t IC, std::int64_t OC) {
  const auto x = normal_array<Real>("x", N * IC), weight = normal_array<Real>("weight", OC * IC);
  const auto bias = normal_array<Real>("bias", OC), dout = normal_array<Real>("dout", N * OC);
  Gradients<Real> run{poisoned<Real>(N * OC), poisoned<Real>(N * IC),
                      normal_array<Real>("dweight", OC * IC), normal_array<Real>("dbias", OC)};
  const On<Cpu, Real> on;
  linear_forward<Real>(on, {run.out.data(), x.data(), weight.data(), bias.data(), N, IC, OC});
  linear_backward<Real>(on, {run.dx.data(), run.dweight.data(), run.dbias.data(), dout.data(),
                             x.data(), weight.data(), N, IC, OC});
  return run;
}

template <class Real>
void check_linear(std::int64_t N, std::int64_t IC, std::int64_t OC) {
  const auto x = normal_array<Real>("x", N * IC), weight = normal_array<Real>("weight", OC * IC);
  const auto bias = normal_array<Real>("bias", OC), dout = normal_array<Real>("dout", N * OC);
  const Gradients<Real> got = run_linear<Real>(N, IC, OC);
  std::vector<double> out(N * OC), dx(N * IC);
  const auto dweight_before = normal_array<Real>("dweight", OC * IC),
             dbias_before = normal_array<Real>("dbias", OC);
  std::vector<double> dweight(dweight_before.begin(), dweight_before.end());
  std::vector<double> dbias(dbias_before.begin(), dbias_before.end());
  for (std::int64_t n = 0; n < N; ++n) {
    for (std::int64_t o = 0; o < OC; ++o) {
      const double gradient = dout[n * OC + o];
      double sum = bias[o];
      for (std::int64_t i = 0; i < IC; ++i) {
        sum += static_cast<double>(x[n * IC + i]) * weight[o * IC + i];
        dx[n * IC + i] += gradient * weight[o * IC + i];
        dweight[o * IC + i] += gradient * x[n * IC + i];
      }
      dbias[o] += gradient;
      out[n * OC + o] = sum;
    }
  }
  CAPTURE(N, IC, OC);
  CHECK(relative_error(got.out, out) <= kTolerance<Real>);
  CHECK(relative_error(got.dx, dx) <= kTolerance<Real>);
  CHECK(relative_error(got.dweight, dweight) <= kTolerance<Real>);
  CHECK(relative_error(got.dbias, dbias) <= kTolerance<Real>);
}

TEST_CASE("linear equals a naive one, forward and backward, at every level", "[cpu]") {
  at_every_cpu_level([] {
    for (const auto& shape : kShapes) {
      check_linear<float>(shape.M, shape.N, shape.K);
      check_linear<double>(shape.M, shape.N, shape.K);
    }
  });
}

TEST_CASE("linear leaves out the bias and dx that no one asks for", "[cpu]") {
  const std::int64_t N = 5, IC = 3, OC = 7;
  const auto x = normal_array<float>("x", N * IC), weight = normal_array<float>("weight", OC * IC);
  const auto dout = normal_array<float>("dout", N * OC), zeros = std::vector<float>(OC, 0.0f);
  auto with = poisoned<float>(N * OC), without = poisoned<float>(N * OC);
  const On<Cpu, float> on;
  linear_forward<float>(on, {with.data(), x.data(), weight.data(), zeros.data(), N, IC, OC});
  linear_forward<float>(on, {without.data(), x.data(), weight.data(), nullptr, N, IC, OC});
  CHECK(with == without);
  const Gradients<float> whole = run_linear<float>(N, IC, OC);
  auto dweight = normal_array<float>("dweight", OC * IC);
  linear_backward<float>(
      on, {nullptr, dweight.data(), nullptr, dout.data(), x.data(), weight.data(), N, IC, OC});
  CHECK(dweight == whole.dweight);
}

TEST_CASE("linear gives the same bits for any number of threads", "[cpu]") {
  const std::vector<Case> shapes = {{1, 384, 128}, {31, 67, 65}, {130, 128, 512}, {2500, 96, 67}};
  for (const Case& shape : shapes) {
    CAPTURE(shape.M, shape.N, shape.K);
    const auto same = [&shape](auto real) {
      using Real = decltype(real);
      return same_for_any_threads([&shape] {
        const Gradients<Real> run = run_linear<Real>(shape.M, shape.K, shape.N);
        std::vector<Real> all;
        for (const auto* part : {&run.out, &run.dx, &run.dweight, &run.dbias}) {
          all.insert(all.end(), part->begin(), part->end());
        }
        return all;
      });
    };
    CHECK(same(float{}));
    CHECK(same(double{}));
  }
}

}  // namespace
}  // namespace masque::test
