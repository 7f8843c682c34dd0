// The checks can fail: ops that are wrong on purpose, each beside its right form, and the check
// that catches it.
#include <omp.h>

#include <cmath>
#include <type_traits>

#include "core/ops.h"
#include "kernels/attention.h"
#include "kernels/philox.h"
#include "kernels/residual_dropout.h"
#include "tests/support/gradcheck.h"
// After the engine's own CHECK.
#include "tests/support/catch.h"

namespace masque::test {
namespace {

constexpr std::int64_t kRows = 5, kWidth = 7;

template <class OnType>
using real = typename OnType::real;

// A kernel of these ops, which no GPU has.
template <class Kernel>
auto on_cpu(Kernel kernel) {
  return [kernel](auto on) {
    if constexpr (std::is_same_v<typename decltype(on)::device, Cpu>) kernel(on);
  };
}

bool passes(const std::vector<Finding>& findings) {
  REQUIRE_FALSE(findings.empty());
  for (const Finding& finding : findings) {
    if (!finding.passed()) return false;
  }
  return true;
}

OpCase case_of(std::function<void(OpRun&)> call) {
  OpCase op;
  op.name = "broken";
  op.variant = "test";
  op.call = std::move(call);
  op.f32_limit = 1e-6;
  return op;
}

// forward(x, out, n) and backward(x, dout, dx, n) over the elements of one activation.
template <class Forward, class Backward>
OpCase elementwise(Forward forward, Backward backward) {
  return case_of([=](OpRun& run) {
    const std::int64_t n = kRows * kWidth;
    const Tensor x = run.input("x", {1, kRows, kWidth});
    run.tape().consume(x, "elementwise");
    const Tensor out = run.tape().activation(x.shape);
    run.tape().run("broken", on_cpu([&](auto on) {
                     using Real = real<decltype(on)>;
                     forward(x.as<Real>(), out.as<Real>(), n);
                   }));
    run.tape().record("broken", on_cpu([=](auto on) {
                        using Real = real<decltype(on)>;
                        backward(x.as<Real>(), out.grad_as<Real>(), x.grad_as<Real>(), n);
                      }));
    run.output("out", out);
  });
}

const auto cube_forward = [](const auto* x, auto* out, std::int64_t n) {
  using Real = std::remove_reference_t<decltype(*out)>;
  for (std::int64_t i = 0; i < n; ++i) out[i] = static_cast<Real>(x[i] * x[i] * x[i]);
};

// dx = scale·3x²·dout.
auto cube_backward(double scale) {
  return [scale](const auto* x, const auto* dout, auto* dx, std::int64_t n) {
    using Real = std::remove_reference_t<decltype(*dx)>;
    for (std::int64_t i = 0; i < n; ++i) {
      dx[i] = static_cast<Real>(static_cast<stat_t<Real>>(scale) * 3 * x[i] * x[i] * dout[i]);
    }
  };
}

enum class LinearFlaw { none, weight_transposed, dweight_overwritten, dbias_forgotten };

// A square layer in plain loops, out = x·weightᵀ + bias.
OpCase plain_linear(LinearFlaw flaw) {
  return case_of([=](OpRun& run) {
    const Tensor x = run.input("x", {1, kRows, kWidth});
    Parameter& weight = run.parameter("weight", {kWidth, kWidth});
    Parameter& bias = run.parameter("bias", {kWidth});
    run.tape().consume(x, "plain_linear");
    const Tensor out = run.tape().activation(x.shape);
    run.tape().run("broken", on_cpu([&](auto on) {
                     using Real = real<decltype(on)>;
                     using Param = param_t<Real>;
                     for (std::int64_t n = 0; n < kRows; ++n) {
                       for (std::int64_t o = 0; o < kWidth; ++o) {
                         Param sum = bias.master.as<Param>()[o];
                         for (std::int64_t i = 0; i < kWidth; ++i) {
                           sum += x.as<Real>()[n * kWidth + i] *
                                  weight.master.as<Param>()[o * kWidth + i];
                         }
                         out.as<Real>()[n * kWidth + o] = static_cast<Real>(sum);
                       }
                     }
                   }));
    run.tape().record("broken", on_cpu([=, &weight, &bias](auto on) {
                        using Real = real<decltype(on)>;
                        using Param = param_t<Real>;
                        const Real* dout = out.grad_as<Real>();
                        Param* dweight = weight.grad.as<Param>();
                        if (flaw == LinearFlaw::dweight_overwritten) {
                          std::fill(dweight, dweight + kWidth * kWidth, Param{0});
                        }
                        for (std::int64_t n = 0; n < kRows; ++n) {
                          for (std::int64_t i = 0; i < kWidth; ++i) {
                            Param sum = 0;
                            for (std::int64_t o = 0; o < kWidth; ++o) {
                              const bool transposed = flaw == LinearFlaw::weight_transposed;
                              const std::int64_t at = transposed ? i * kWidth + o : o * kWidth + i;
                              sum += dout[n * kWidth + o] * weight.master.as<Param>()[at];
                              dweight[o * kWidth + i] +=
                                  dout[n * kWidth + o] * x.as<Real>()[n * kWidth + i];
                            }
                            x.grad_as<Real>()[n * kWidth + i] = static_cast<Real>(sum);
                            if (flaw != LinearFlaw::dbias_forgotten) {
                              bias.grad.as<Param>()[i] += dout[n * kWidth + i];
                            }
                          }
                        }
                      }));
    run.output("out", out);
  });
}

enum class NormFlaw { none, mean_term_missing, product_term_missing };

// layernorm without weight and bias: dx = rstd·(dout − mean(dout) − out·mean(dout·out)).
OpCase plain_norm(NormFlaw flaw) {
  const auto rstd_of = [](const auto* row, auto& mean) {
    using Real = std::remove_reference_t<decltype(mean)>;
    Real variance = 0;
    mean = 0;
    for (std::int64_t c = 0; c < kWidth; ++c) mean += row[c] / kWidth;
    for (std::int64_t c = 0; c < kWidth; ++c) {
      variance += (row[c] - mean) * (row[c] - mean) / kWidth;
    }
    return 1 / std::sqrt(variance);
  };
  const auto forward = [=](const auto* x, auto* out, std::int64_t n) {
    for (std::int64_t row = 0; row < n; row += kWidth) {
      using Real = std::remove_reference_t<decltype(*out)>;
      stat_t<Real> mean;
      const auto rstd = rstd_of(x + row, mean);
      for (std::int64_t c = row; c < row + kWidth; ++c) {
        out[c] = static_cast<Real>((x[c] - mean) * rstd);
      }
    }
  };
  const auto backward = [=](const auto* x, const auto* dout, auto* dx, std::int64_t n) {
    using Real = std::remove_reference_t<decltype(*dx)>;
    for (std::int64_t row = 0; row < n; row += kWidth) {
      stat_t<Real> mean, mean_dout = 0, mean_product = 0;
      const auto rstd = rstd_of(x + row, mean);
      for (std::int64_t c = row; c < row + kWidth; ++c) {
        mean_dout += dout[c] / kWidth;
        mean_product += dout[c] * (x[c] - mean) * rstd / kWidth;
      }
      if (flaw == NormFlaw::mean_term_missing) mean_dout = 0;
      if (flaw == NormFlaw::product_term_missing) mean_product = 0;
      for (std::int64_t c = row; c < row + kWidth; ++c) {
        dx[c] =
            static_cast<Real>(rstd * (dout[c] - mean_dout - (x[c] - mean) * rstd * mean_product));
      }
    }
  };
  return elementwise(forward, backward);
}

// Dropout whose backward draws from stream + shift.
OpCase dropout_case(std::uint32_t shift) {
  return case_of([=](OpRun& run) {
    const Tensor x = run.input("x", {kRows, kWidth, 3});
    run.tape().consume(x, "dropout");
    const Tensor out = run.tape().activation(x.shape);
    const StepState* state = run.state();
    run.tape().run("broken", on_cpu([&](auto on) {
                     using Real = real<decltype(on)>;
                     residual_dropout_forward(on, {.out = out.as<Real>(),
                                                   .residual = nullptr,
                                                   .branch = x.as<Real>(),
                                                   .state = state,
                                                   .stream = 1,
                                                   .p = 0.3,
                                                   .B = kRows,
                                                   .E = kWidth * 3});
                   }));
    run.tape().record("broken", on_cpu([=](auto on) {
                        using Real = real<decltype(on)>;
                        residual_dropout_backward(on, {.dbranch = x.grad_as<Real>(),
                                                       .dout = out.grad_as<Real>(),
                                                       .state = state,
                                                       .stream = 1 + shift,
                                                       .p = 0.3,
                                                       .B = kRows,
                                                       .E = kWidth * 3});
                      }));
    run.output("out", out);
  });
}

// The dependence of causal attention, around attention that is causal or not, forward and backward.
OpCase causal_case(bool forward_causal, bool backward_causal) {
  const std::int64_t T = kRows, HS = 3;
  OpCase op = case_of([=](OpRun& run) {
    const Tensor qkv = run.input("qkv", {1, T, 3 * HS});
    run.tape().consume(qkv, "attention");
    const Tensor out = run.tape().activation({1, T, HS});
    const Tensor lse = run.tape().statistic({1, 1, T});
    run.tape().run("broken", on_cpu([&](auto on) {
                     using Real = real<decltype(on)>;
                     AttentionForward<Real> args{};
                     args.out = out.as<Real>();
                     args.lse = lse.as<stat_t<Real>>();
                     args.qkv = qkv.as<Real>();
                     args.causal = forward_causal;
                     args.B = args.NH = 1;
                     args.T = T;
                     args.HS = HS;
                     attention_forward(on, args);
                   }));
    run.tape().record("broken", on_cpu([=](auto on) {
                        using Real = real<decltype(on)>;
                        AttentionBackward<Real> args{};
                        args.dqkv = qkv.grad_as<Real>();
                        args.dout = out.grad_as<Real>();
                        args.out = out.as<Real>();
                        args.lse = lse.as<stat_t<Real>>();
                        args.qkv = qkv.as<Real>();
                        args.causal = backward_causal;
                        args.B = args.NH = 1;
                        args.T = T;
                        args.HS = HS;
                        attention_backward(on, args);
                      }));
    run.output("out", out);
  });
  op.bf16_limit = 5e-3;  // out is rounded before the backward reads it
  op.dependence = Dependence{"qkv", [](auto, auto to, auto from) { return from <= to; }};
  return op;
}

}  // namespace

TEST_CASE("broken ops: the right forms pass every check", "[cpu]") {
  CHECK(passes(check_all(elementwise(cube_forward, cube_backward(1)))));
  CHECK(passes(check_all(plain_linear(LinearFlaw::none))));
  CHECK(passes(check_all(plain_norm(NormFlaw::none))));
  CHECK(passes(check_all(dropout_case(0))));
  CHECK(passes(check_all(causal_case(true, true))));
}

TEST_CASE("broken ops: a gradient 1% too large fails the gradient check", "[cpu]") {
  CHECK_FALSE(passes(check_gradient(elementwise(cube_forward, cube_backward(1.01)))));
}

TEST_CASE("broken ops: a gradient off by one part in a million fails the gradient check", "[cpu]") {
  CHECK_FALSE(passes(check_gradient(elementwise(cube_forward, cube_backward(1 + 1e-6)))));
}

TEST_CASE("broken ops: a gradient of the wrong sign fails the gradient check", "[cpu]") {
  CHECK_FALSE(passes(check_gradient(elementwise(cube_forward, cube_backward(-1)))));
}

TEST_CASE("broken ops: a gradient whose last element is not written fails the gradient check",
          "[cpu]") {
  const auto backward = [](const auto* x, const auto* dout, auto* dx, std::int64_t n) {
    cube_backward(1)(x, dout, dx, n - 1);
  };
  CHECK_FALSE(passes(check_gradient(elementwise(cube_forward, backward))));
}

TEST_CASE("broken ops: an activation's gradient that is added, not written, fails the check",
          "[cpu]") {
  const auto backward = [](const auto* x, const auto* dout, auto* dx, std::int64_t n) {
    using Real = std::remove_reference_t<decltype(*dx)>;
    for (std::int64_t i = 0; i < n; ++i) {
      dx[i] = static_cast<Real>(dx[i] + 3 * x[i] * x[i] * dout[i]);
    }
  };
  CHECK_FALSE(passes(check_gradient(elementwise(cube_forward, backward))));
}

TEST_CASE("broken ops: a transposed weight in dx fails the gradient check", "[cpu]") {
  CHECK_FALSE(passes(check_gradient(plain_linear(LinearFlaw::weight_transposed))));
}

TEST_CASE("broken ops: a parameter's gradient that is written, not added, fails the check",
          "[cpu]") {
  CHECK_FALSE(passes(check_gradient(plain_linear(LinearFlaw::dweight_overwritten))));
}

TEST_CASE("broken ops: a forgotten bias gradient fails the gradient check", "[cpu]") {
  CHECK_FALSE(passes(check_gradient(plain_linear(LinearFlaw::dbias_forgotten))));
}

TEST_CASE("broken ops: layernorm's dx without either of its means fails the gradient check",
          "[cpu]") {
  CHECK_FALSE(passes(check_gradient(plain_norm(NormFlaw::mean_term_missing))));
  CHECK_FALSE(passes(check_gradient(plain_norm(NormFlaw::product_term_missing))));
}

TEST_CASE("broken ops: a dropout mask that differs in the backward fails the gradient check",
          "[cpu]") {
  CHECK_FALSE(passes(check_gradient(dropout_case(1))));
}

TEST_CASE("broken ops: attention that sees the future fails the mask check alone", "[cpu]") {
  CHECK_FALSE(passes(check_mask(causal_case(false, false))));
  CHECK(passes(check_gradient(causal_case(false, false))));
}

TEST_CASE("broken ops: a backward that sees the future fails the gradient check alone", "[cpu]") {
  CHECK_FALSE(passes(check_gradient(causal_case(true, false))));
  CHECK(passes(check_mask(causal_case(true, false))));
}

TEST_CASE("broken ops: an output that is not written whole fails the bits and f32 checks",
          "[cpu]") {
  const auto forward = [](const auto* x, auto* out, std::int64_t n) {
    cube_forward(x, out, n - 1);
  };
  const OpCase op = elementwise(forward, cube_backward(1));
  CHECK_FALSE(passes(check_bits(op)));
  CHECK_FALSE(passes(check_accuracy(op, On<Cpu, float>{})));
}

TEST_CASE("broken ops: a result that depends on the number of threads fails the bits check",
          "[cpu]") {
  const auto forward = [](const auto* x, auto* out, std::int64_t n) {
    using Real = std::remove_reference_t<decltype(*out)>;
    const std::int64_t parts = omp_get_max_threads();
    for (std::int64_t shift = 0; shift < n; ++shift) {
      stat_t<Real> sum = 0;
      for (std::int64_t part = 0; part < parts; ++part) {  // one partial sum a thread
        stat_t<Real> partial = 0;
        for (std::int64_t i = part; i < n; i += parts) partial += x[i] * x[(i + shift) % n];
        sum += partial;
      }
      out[shift] = static_cast<Real>(sum);
    }
  };
  CHECK_FALSE(passes(check_bits(elementwise(forward, cube_backward(1)))));
}

TEST_CASE("broken ops: a result that depends on the run fails the bits check", "[cpu]") {
  int calls = 0;
  const auto forward = [&calls](const auto* x, auto* out, std::int64_t n) {
    cube_forward(x, out, n);
    out[0] = static_cast<std::remove_reference_t<decltype(*out)>>(out[0] + ++calls);
  };
  CHECK_FALSE(passes(check_bits(elementwise(forward, cube_backward(1)))));
}

TEST_CASE("broken ops: an f32 path that rounds to half precision fails the f32 check", "[cpu]") {
  const auto forward = [](const auto* x, auto* out, std::int64_t n) {
    using Real = std::remove_reference_t<decltype(*out)>;
    cube_forward(x, out, n);
    if (!std::is_same_v<Real, float>) return;
    for (std::int64_t i = 0; i < n; ++i) {
      out[i] = static_cast<Real>(std::ldexp(std::round(std::ldexp(out[i], 10)), -10));
    }
  };
  CHECK_FALSE(passes(check_accuracy(elementwise(forward, cube_backward(1)), On<Cpu, float>{})));
}

}  // namespace masque::test
