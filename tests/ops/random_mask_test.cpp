#include "kernels/random_mask.h"

#include "kernels/philox.h"
#include "tests/support/arrays.h"
#include "tests/support/catch.h"

namespace masque::test {
namespace {

constexpr std::int32_t kPad = 0, kMask = 1, kStart = 2;

struct Request {
  std::int64_t B = 4, T = 64, total_rows = 4;
  std::uint32_t first_row = 0, step = 3;
  std::uint64_t seed = 42;
  TSampling sampling = TSampling::stratified;
  Weighting weighting = Weighting::inverse_t;
  double epsilon = 1e-3, normaliser = 1;
  std::vector<std::int32_t> lengths = {};
};

struct Masked {
  std::vector<std::int32_t> inputs;
  std::vector<double> weights;
};

Masked run(const Request& request, const std::vector<std::int32_t>& tokens) {
  Masked masked{std::vector<std::int32_t>(tokens.size(), -9),
                poisoned<double>(request.B * request.T)};
  StepState state;
  state.seed = request.seed;
  state.step = request.step;
  state.first_row = request.first_row;
  state.normaliser = request.normaliser;
  random_mask(
      On<Cpu, double>{},
      RandomMask<double>{.inputs = masked.inputs.data(),
                         .weights = masked.weights.data(),
                         .tokens = tokens.data(),
                         .lengths = request.lengths.empty() ? nullptr : request.lengths.data(),
                         .state = &state,
                         .sampling = request.sampling,
                         .weighting = request.weighting,
                         .epsilon = request.epsilon,
                         .total_rows = request.total_rows,
                         .mask_token = kMask,
                         .pad_token = kPad,
                         .start_token = kStart,
                         .B = request.B,
                         .T = request.T});
  return masked;
}

std::vector<std::int32_t> letters(const Request& request) {
  return integers(8, request.B * request.T, 4, 30);
}

// t of each row, from the weight of its masked positions; 0 where nothing was masked.
std::vector<double> ratios(const Request& request, const Masked& masked) {
  std::vector<double> t(static_cast<std::size_t>(request.B), 0);
  for (std::int64_t n = 0; n < request.B * request.T; ++n) {
    if (masked.weights[n] != 0) t[n / request.T] = request.normaliser / masked.weights[n];
  }
  return t;
}

double unit(const Request& request, double t) {
  return (t - request.epsilon) / (1 - request.epsilon);
}

TEST_CASE("random_mask masks the share t of a row and weighs it by normaliser/t", "[cpu]") {
  for (const TSampling sampling : {TSampling::stratified, TSampling::iid, TSampling::batch}) {
    Request request;
    request.B = request.total_rows = 8;
    request.T = 4001;
    request.sampling = sampling;
    request.normaliser = 0.25;
    const auto tokens = letters(request);
    const Masked masked = run(request, tokens);
    const std::vector<double> t = ratios(request, masked);
    for (std::int64_t b = 0; b < request.B; ++b) {
      std::int64_t count = 0;
      for (std::int64_t n = b * request.T; n < (b + 1) * request.T; ++n) {
        const bool hidden = masked.inputs[n] == kMask;
        count += hidden;
        REQUIRE((hidden || masked.inputs[n] == tokens[n]));
        REQUIRE(masked.weights[n] == Approx(hidden ? request.normaliser / t[b] : 0));
      }
      const double T = static_cast<double>(request.T), share = static_cast<double>(count) / T;
      CHECK(std::abs(share - t[b]) < 6 * std::sqrt(t[b] * (1 - t[b]) / T) + 1e-9);
    }
  }
}

TEST_CASE("u is stratified exactly, independent, or one for all", "[cpu]") {
  Request request;
  request.B = request.total_rows = 16;
  request.T = 5000;
  const auto tokens = letters(request);
  const double shared =
      uniform(philox_word(request.seed, stream_of(Purpose::mask_ratio), request.step, 0, 0));

  const std::vector<double> stratified = ratios(request, run(request, tokens));
  request.sampling = TSampling::iid;
  const std::vector<double> independent = ratios(request, run(request, tokens));
  request.sampling = TSampling::batch;
  const std::vector<double> together = ratios(request, run(request, tokens));
  for (std::uint32_t b = 0; b < 16; ++b) {
    CHECK(unit(request, stratified[b]) == Approx((b + shared) / 16).margin(1e-12));
    const double own =
        uniform(philox_word(request.seed, stream_of(Purpose::mask_ratio), request.step, b, 0));
    CHECK(unit(request, independent[b]) == Approx(own).margin(1e-12));
    CHECK(unit(request, together[b]) == Approx(shared).margin(1e-12));
  }
}

TEST_CASE("[PAD], [START] and what lies past a row's length are never masked", "[cpu]") {
  Request request;
  request.epsilon = 1;  // t = 1: all that may be masked is
  request.lengths = {64, 1, 0, 33};
  auto tokens = letters(request);
  for (std::size_t n = 0; n < tokens.size(); n += 5) tokens[n] = n % 2 == 0 ? kPad : kStart;
  const Masked masked = run(request, tokens);
  for (std::int64_t n = 0; n < request.B * request.T; ++n) {
    const bool real = n % request.T < request.lengths[n / request.T] && tokens[n] > kStart;
    REQUIRE(masked.inputs[n] == (real ? kMask : tokens[n]));
    REQUIRE(masked.weights[n] == (real ? 1 : 0));
  }
}

TEST_CASE("micro-batches draw the masks of the whole batch", "[cpu]") {
  for (const TSampling sampling : {TSampling::stratified, TSampling::iid, TSampling::batch}) {
    Request whole;
    whole.B = whole.total_rows = 12;
    whole.T = 37;
    whole.sampling = sampling;
    const auto tokens = letters(whole);
    const Masked expected = run(whole, tokens);
    Masked joined;
    for (std::uint32_t first = 0; first < 12; first += 3) {
      Request part = whole;
      part.B = 3;
      part.first_row = first;
      const auto begin = tokens.begin() + first * whole.T;
      const Masked masked = run(part, {begin, begin + 3 * whole.T});
      joined.inputs.insert(joined.inputs.end(), masked.inputs.begin(), masked.inputs.end());
      joined.weights.insert(joined.weights.end(), masked.weights.begin(), masked.weights.end());
    }
    CHECK(joined.inputs == expected.inputs);
    CHECK(same_bits(joined.weights, expected.weights));
  }
}

TEST_CASE("seed and step change the masks; weighting none weighs all alike", "[cpu]") {
  Request request;
  const auto tokens = letters(request);
  const Masked first = run(request, tokens);
  CHECK(run(request, tokens).inputs == first.inputs);
  Request other = request;
  other.step = 4;
  CHECK(run(other, tokens).inputs != first.inputs);
  other = request;
  other.seed = 43;
  CHECK(run(other, tokens).inputs != first.inputs);
  other = request;
  other.weighting = Weighting::none;
  other.normaliser = 0.5;
  const Masked alike = run(other, tokens);
  CHECK(alike.inputs == first.inputs);
  for (std::size_t n = 0; n < tokens.size(); ++n) {
    CHECK(alike.weights[n] == (alike.inputs[n] == kMask ? 0.5 : 0));
  }
}

// An nll for each set of masked positions and each of them, with nothing regular about it.
double toy_nll(std::uint32_t set, std::uint32_t position) {
  return 1 + 3 * uniform(philox_word(5, 0, 0, set, position));
}

// The nelbo by enumeration: l uniform in 1 … L, a uniform subset of size l, the mean nll in it.
double toy_nelbo(std::uint32_t L) {
  std::vector<double> sum(L + 1, 0), count(L + 1, 0);
  for (std::uint32_t set = 1; set < (1u << L); ++set) {
    double nll = 0, size = 0;
    for (std::uint32_t i = 0; i < L; ++i) {
      if ((set >> i & 1u) == 0) continue;
      nll += toy_nll(set, i);
      ++size;
    }
    const std::size_t l = static_cast<std::size_t>(size);
    sum[l] += nll / size;
    ++count[l];
  }
  double nelbo = 0;
  for (std::uint32_t l = 1; l <= L; ++l) nelbo += sum[l] / count[l] / L;
  return nelbo;
}

TEST_CASE("the 1/t loss has the nelbo for its mean", "[cpu]") {
  constexpr std::uint32_t L = 6;
  constexpr int kSteps = 200;
  for (const TSampling sampling : {TSampling::stratified, TSampling::iid}) {
    Request request;
    request.B = request.total_rows = 1000;
    request.T = L;
    request.sampling = sampling;
    request.epsilon = 1e-6;
    request.normaliser = 1.0 / (L * 1000);
    const auto tokens = letters(request);
    double sum = 0, squares = 0;
    for (int step = 0; step < kSteps; ++step) {
      request.step = static_cast<std::uint32_t>(step);
      const Masked masked = run(request, tokens);
      double loss = 0;
      for (std::int64_t b = 0; b < request.B; ++b) {
        std::uint32_t set = 0;
        for (std::uint32_t i = 0; i < L; ++i) {
          if (masked.inputs[b * L + i] == kMask) set |= 1u << i;
        }
        for (std::uint32_t i = 0; i < L; ++i) {
          loss += masked.weights[b * L + i] * toy_nll(set, i);
        }
      }
      sum += loss;
      squares += loss * loss;
    }
    const double mean = sum / kSteps;
    const double error = std::sqrt((squares / kSteps - mean * mean) / kSteps);
    CAPTURE(mean, error);
    CHECK(error < 0.02);
    CHECK(std::abs(mean - toy_nelbo(L)) < 5 * error);
  }
}

TEST_CASE("random_mask does not depend on the threads", "[cpu]") {
  Request request;
  request.B = request.total_rows = 33;
  request.T = 1001;
  const auto tokens = letters(request);
  CHECK(same_for_any_threads([&] { return run(request, tokens).inputs; }));
  CHECK(same_for_any_threads([&] { return run(request, tokens).weights; }));
}

}  // namespace
}  // namespace masque::test
