#include "kernels/embedding.h"

#include "kernels/gather_rows.h"
#include "tests/support/arrays.h"
#include "tests/support/catch.h"

namespace masque::test {
namespace {

struct Shape3 {
  std::int64_t B, T, C, V;
};

constexpr Shape3 kShapes[] = {{1, 1, 1, 1}, {2, 7, 33, 5}, {3, 5, 64, 11}, {5, 131, 67, 3}};

TEMPLATE_TEST_CASE("embedding adds token and position rows", "[cpu]", float, double) {
  for (const Shape3& s : kShapes) {
    for (const std::int64_t first_position : {0, 3}) {
      for (const bool learned_positions : {true, false}) {
        const std::int64_t N = s.B * s.T;
        const auto wte = normal_array<TestType>("wte", s.V * s.C);
        const auto wpe = normal_array<TestType>("wpe", (s.T + 3) * s.C);
        const auto tokens = integers(1, N, 0, static_cast<std::int32_t>(s.V) - 1);
        auto out = poisoned<TestType>(N * s.C);
        embedding_forward(On<Cpu, TestType>{}, EmbeddingForward<TestType>{
                                                   .out = out.data(),
                                                   .tokens = tokens.data(),
                                                   .wte = wte.data(),
                                                   .wpe = learned_positions ? wpe.data() : nullptr,
                                                   .first_position = first_position,
                                                   .B = s.B,
                                                   .T = s.T,
                                                   .C = s.C});
        bool equal = true;
        for (std::int64_t n = 0; n < N; ++n) {
          for (std::int64_t c = 0; c < s.C; ++c) {
            TestType expected = wte[tokens[n] * s.C + c];
            if (learned_positions) expected += wpe[(first_position + n % s.T) * s.C + c];
            equal = equal && out[n * s.C + c] == expected;
          }
        }
        CHECK(equal);
      }
    }
  }
}

template <class Real>
struct Gradients {
  std::vector<param_t<Real>> dwte, dwpe;
};

template <class Real>
Gradients<Real> backward(const Shape3& s, const std::vector<std::int32_t>& tokens,
                         const std::vector<Real>& dout) {
  Gradients<Real> gradients{normal_array<param_t<Real>>("dwte", s.V * s.C),
                            normal_array<param_t<Real>>("dwpe", s.T * s.C)};
  embedding_backward(On<Cpu, Real>{}, EmbeddingBackward<Real>{.dwte = gradients.dwte.data(),
                                                              .dwpe = gradients.dwpe.data(),
                                                              .dout = dout.data(),
                                                              .tokens = tokens.data(),
                                                              .B = s.B,
                                                              .T = s.T,
                                                              .C = s.C,
                                                              .V = s.V});
  return gradients;
}

TEMPLATE_TEST_CASE("embedding's backward adds to both tables", "[cpu]", float, double) {
  for (const Shape3& s : kShapes) {
    const std::int64_t N = s.B * s.T;
    const auto tokens = integers(2, N, 0, static_cast<std::int32_t>(s.V) - 1);
    const auto dout = normal_array<TestType>("dout", N * s.C);
    auto dwte = normal_array<double>("dwte", s.V * s.C);
    auto dwpe = normal_array<double>("dwpe", s.T * s.C);
    for (std::int64_t n = 0; n < N; ++n) {
      for (std::int64_t c = 0; c < s.C; ++c) {
        dwte[tokens[n] * s.C + c] += dout[n * s.C + c];
        dwpe[n % s.T * s.C + c] += dout[n * s.C + c];
      }
    }
    const Gradients<TestType> gradients = backward(s, tokens, dout);
    CHECK(relative_error(gradients.dwte, dwte) < kTolerance<TestType>);
    CHECK(relative_error(gradients.dwpe, dwpe) < kTolerance<TestType>);
  }
}

TEST_CASE("embedding's gradients do not depend on the threads", "[cpu]") {
  const Shape3 s = kShapes[3];
  const auto tokens = integers(2, s.B * s.T, 0, static_cast<std::int32_t>(s.V) - 1);
  const auto dout = normal_array<float>("dout", s.B * s.T * s.C);
  CHECK(same_for_any_threads([&] { return backward(s, tokens, dout).dwte; }));
  CHECK(same_for_any_threads([&] { return backward(s, tokens, dout).dwpe; }));
}

TEST_CASE("gather_rows copies the rows it is asked for", "[cpu]") {
  const std::int64_t N = 9, C = 5;
  const auto x = normal_array<float>("x", N * C);
  const std::vector<std::int64_t> rows{8, 0, 3, 3};
  auto out = poisoned<float>(4 * C);
  gather_rows(
      On<Cpu, float>{},
      GatherRows<float>{.out = out.data(), .x = x.data(), .rows = rows.data(), .K = 4, .C = C});
  for (std::int64_t k = 0; k < 4; ++k) {
    for (std::int64_t c = 0; c < C; ++c) CHECK(out[k * C + c] == x[rows[k] * C + c]);
  }
}

}  // namespace
}  // namespace masque::test
