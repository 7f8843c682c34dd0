#include <numeric>

#include "kernels/philox.h"
#include "kernels/sampling.h"
#include "tests/support/arrays.h"
#include "tests/support/device_array.h"
#include "tests/support/gpu.h"
// After the engine's own headers.
#include "tests/support/catch.h"

namespace masque::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Options {
  double temperature = 1, top_p = 1;
  std::int64_t top_k = 0;
  Confidence kind = Confidence::drawn;
};

template <class Real>
struct Request {
  std::vector<Real> logits;  // (K,V)
  std::int64_t K, V;
  std::vector<std::uint8_t> excluded = {};
  Options options = {};
};

// tied: rounded, so that many logits of a row are equal.
template <class Real>
Request<Real> random_request(std::int64_t K, std::int64_t V, bool tied, bool exclude) {
  Request<Real> request{normal_array<Real>("logits", K * V, 2), K, V};
  if (tied) {
    for (Real& logit : request.logits) logit = static_cast<Real>(std::round(logit));
  }
  if (exclude) request.excluded.resize(static_cast<std::size_t>(V));
  for (std::size_t v = 0; v < request.excluded.size(); v += 3) request.excluded[v] = 1;
  return request;
}

struct Drawn {
  std::vector<std::int32_t> tokens;
  std::vector<double> probability, confidence;
  std::int32_t bad_row;
};

template <class Real>
SampleTokens<Real> arguments(const Request<Real>& request) {
  SampleTokens<Real> args{};
  args.seed = 7;
  args.stream = stream_of(Purpose::sample);
  args.draw = 3;
  args.temperature = request.options.temperature;
  args.top_k = request.options.top_k;
  args.top_p = request.options.top_p;
  args.kind = request.options.kind;
  args.K = request.K;
  args.V = request.V;
  return args;
}

std::vector<std::uint32_t> draw_rows(std::int64_t K) {
  std::vector<std::uint32_t> rows(static_cast<std::size_t>(K));
  std::iota(rows.begin(), rows.end(), 100u);
  return rows;
}

template <class Real>
Drawn on_device(const Request<Real>& request, bool with_probability = true) {
  const auto rows = static_cast<std::size_t>(request.K);
  const DeviceArray<std::int32_t> tokens(rows);
  const DeviceArray<double> probability(rows), confidence(rows);
  const DeviceArray<std::int32_t> bad_row(
      std::vector<std::int32_t>{static_cast<std::int32_t>(request.K)});
  const DeviceArray<Real> logits(request.logits);
  const DeviceArray<std::uint8_t> excluded(request.excluded.empty() ? std::vector<std::uint8_t>(1)
                                                                    : request.excluded);
  const DeviceArray<std::uint32_t> device_rows(draw_rows(request.K));
  SampleTokens<Real> args = arguments(request);
  args.tokens = tokens.data();
  args.probability = with_probability ? probability.data() : nullptr;
  args.confidence = with_probability ? confidence.data() : nullptr;
  args.bad_row = bad_row.data();
  args.logits = logits.data();
  args.excluded = request.excluded.empty() ? nullptr : excluded.data();
  args.draw_rows = device_rows.data();
  sample_tokens(on_gpu<Real>(), args);
  return {tokens.read(), probability.read(), confidence.read(), bad_row.read()[0]};
}

template <class Real>
Drawn on_cpu(const Request<Real>& request) {
  const Request<float> same{{request.logits.begin(), request.logits.end()},
                            request.K,
                            request.V,
                            request.excluded,
                            request.options};
  const std::vector<std::uint32_t> rows = draw_rows(request.K);
  Drawn drawn{std::vector<std::int32_t>(rows.size()), poisoned<double>(request.K),
              poisoned<double>(request.K), static_cast<std::int32_t>(request.K)};
  SampleTokens<float> args = arguments(same);
  args.tokens = drawn.tokens.data();
  args.probability = drawn.probability.data();
  args.confidence = drawn.confidence.data();
  args.logits = same.logits.data();
  args.excluded = same.excluded.empty() ? nullptr : same.excluded.data();
  args.draw_rows = rows.data();
  sample_tokens(On<Cpu, float>{}, args);
  return drawn;
}

template <class Real>
void check_against_cpu(Request<Real> request, const std::vector<Options>& all_options) {
  for (const Options& options : all_options) {
    request.options = options;
    CAPTURE(request.V, options.temperature, options.top_k, options.top_p);
    const Drawn expected = on_cpu(request), drawn = on_device(request);
    CHECK(drawn.tokens == expected.tokens);
    CHECK(relative_error(drawn.probability, expected.probability) < 1e-13);
    CHECK(relative_error(drawn.confidence, expected.confidence) < 1e-13);
    CHECK(drawn.bad_row == request.K);
  }
}

const std::vector<Options> kManyOptions{
    {.temperature = 0},
    {},
    {.temperature = 0.6},
    {.top_k = 1},
    {.top_k = 7},
    {.temperature = 1.7, .top_k = 1000},
    {.top_p = 1e-9},
    {.top_p = 0.4},
    {.top_p = 0.95},
    {.temperature = 1.3, .top_p = 0.9, .top_k = 12},
    {.temperature = 0.6, .kind = Confidence::max_prob},
    {.top_k = 7, .kind = Confidence::margin},
    {.top_p = 0.4, .kind = Confidence::entropy},
};

TEMPLATE_TEST_CASE("GPU sampling draws the CPU's tokens", "[gpu]", float, bf16) {
  check_against_cpu(random_request<TestType>(5, 1, false, false), kManyOptions);
  check_against_cpu(random_request<TestType>(5, 69, false, true), kManyOptions);
  check_against_cpu(random_request<TestType>(5, 69, true, false), kManyOptions);  // ties
  check_against_cpu(random_request<TestType>(1, 1000, true, true),
                    {{.temperature = 1.3, .top_p = 0.9, .top_k = 300}});
}

TEST_CASE("GPU sampling draws the CPU's tokens from a large vocabulary", "[gpu]") {
  for (const bool tied : {false, true}) {
    check_against_cpu(
        random_request<float>(1, tied ? 1025 : 3001, tied, true),
        {{.temperature = 0, .kind = Confidence::entropy},
         {.temperature = 1.5, .top_p = 0.8, .top_k = 500, .kind = Confidence::margin}});
  }
}

TEST_CASE("GPU sampling: the last entries are drawn too", "[gpu]") {
  // All but one entry are impossible or weigh nothing, wherever it stands.
  for (const std::int64_t V : {69, 1100}) {
    for (const std::int64_t only : {std::int64_t{0}, std::int64_t{40}, V - 1}) {
      Request<float> request{std::vector<float>(static_cast<std::size_t>(V), -kInfinity), 1, V};
      request.logits[static_cast<std::size_t>(only)] = -5;
      request.logits[3] = -2000;
      const Drawn drawn = on_device(request);
      CHECK(drawn.tokens[0] == only);
      CHECK(drawn.probability[0] == 1);
      for (const Confidence kind :
           {Confidence::max_prob, Confidence::margin, Confidence::entropy}) {
        request.options.kind = kind;
        CHECK(on_device(request).confidence[0] == (kind == Confidence::entropy ? 0 : 1));
      }
    }
  }
}

TEST_CASE("GPU sampling: equal logits of both zeros are a tie", "[gpu]") {
  Request<float> request{{-1, -0.0f, 0.0f, -0.0f}, 1, 4};
  request.options.temperature = 0;
  CHECK(on_device(request).tokens[0] == 1);
  request.options = {.top_k = 1};
  CHECK(on_device(request).tokens[0] == 1);
}

TEST_CASE("GPU sampling tells the first row without a distribution and draws id 0", "[gpu]") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const std::vector<float>& row : {std::vector<float>{0, nan, 1},
                                        {0, -nan, 1},
                                        {0, kInfinity, 1},
                                        {-kInfinity, -kInfinity, -kInfinity}}) {
    for (const double temperature : {0.0, 1.0}) {
      Request<float> request{std::vector<float>(15, 1.0f), 5, 3};
      request.options.temperature = temperature;
      std::copy(row.begin(), row.end(), request.logits.begin() + 6);
      std::copy(row.begin(), row.end(), request.logits.begin() + 12);
      for (int order = 0; order < kThreadOrders; ++order) {
        set_thread_order(order);
        const Drawn drawn = on_device(request);
        CHECK(drawn.bad_row == 2);
        CHECK(drawn.tokens[4] == 0);
        CHECK(drawn.probability[4] == 0);
        CHECK(drawn.confidence[4] == 0);
        CHECK(drawn.probability[3] == Approx(1 / 3.0));
      }
      set_thread_order(0);
    }
  }
  Request<float> nothing{{1, 2}, 1, 2, {1, 1}};
  CHECK(on_device(nothing).bad_row == 0);
  Request<float> unread{{nan, 2}, 1, 2, {1, 0}};
  CHECK(on_device(unread).bad_row == 1);
  CHECK(on_device(unread).tokens[0] == 1);
}

TEST_CASE("GPU sampling: no order of threads shows", "[gpu]") {
  for (const std::int64_t V : {69, 1025}) {
    Request<float> request = random_request<float>(V == 69 ? 5 : 1, V, false, true);
    request.options = {.temperature = 1.1, .top_p = 0.9};
    const Drawn first = on_device(request);
    CHECK(on_device(request, false).tokens == first.tokens);
    for (int order = 1; order < kThreadOrders; ++order) {
      set_thread_order(order);
      const Drawn again = on_device(request);
      CHECK(again.tokens == first.tokens);
      CHECK(same_bits(again.probability, first.probability));
    }
    set_thread_order(0);
  }
}

TEST_CASE("GPU sampling leaves rows alone that are not wanted, and reads the draw in memory",
          "[gpu]") {
  for (const std::int64_t V : {69, 1025}) {
    Request<float> request = random_request<float>(3, V, false, true);
    const Drawn expected = on_device(request);
    request.logits[static_cast<std::size_t>(V + 1)] = kInfinity;  // of the second row
    const DeviceArray<std::int32_t> tokens(std::vector<std::int32_t>{-1, -1, -1});
    const DeviceArray<std::int32_t> bad_row(std::vector<std::int32_t>{3});
    const DeviceArray<float> logits(request.logits);
    const DeviceArray<std::uint8_t> excluded(request.excluded),
        wanted(std::vector<std::uint8_t>{1, 0, 1});
    const DeviceArray<std::uint32_t> rows(draw_rows(3)),
        draw(std::vector<std::uint32_t>{arguments(request).draw});
    SampleTokens<float> args = arguments(request);
    args.tokens = tokens.data();
    args.bad_row = bad_row.data();
    args.logits = logits.data();
    args.excluded = excluded.data();
    args.draw_rows = rows.data();
    args.draw = 0;
    args.draw_at = draw.data();
    args.wanted = wanted.data();
    sample_tokens(on_gpu<float>(), args);
    CHECK(tokens.read() == std::vector<std::int32_t>{expected.tokens[0], -1, expected.tokens[2]});
    CHECK(bad_row.read()[0] == 3);
  }
}

}  // namespace
}  // namespace masque::test
