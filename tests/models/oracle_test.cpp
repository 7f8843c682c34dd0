// The oracle is exact behind Predictor: the yardstick of likelihoods and samplers.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/backend.h"
#include "kernels/philox.h"
#include "models/source.h"
#include "tests/support/catch.h"

using Catch::Matchers::Contains;

namespace masque {
namespace {

using Ids = std::vector<std::int32_t>;

// A permutation of 0 … count − 1.
std::vector<std::size_t> random_order(std::size_t count, std::uint64_t seed) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = count; i > 1; --i) {
    std::swap(order[i - 1], order[philox_word(seed, 0, 0, 0, i) % i]);
  }
  return order;
}

std::vector<double> predict(Predictor& oracle, const Ids& ids, std::int64_t B,
                            const std::vector<std::int64_t>& rows, const Ids& lengths = {}) {
  std::vector<double> logits(rows.size() * static_cast<std::size_t>(oracle.vocab_size()), NAN);
  const PredictorInput input{ids, lengths, B, static_cast<std::int64_t>(ids.size()) / B, rows};
  oracle.predict(input, logits);
  return logits;
}

TEST_CASE("the masked oracle chains to the window's nats in any order", "[cpu]") {
  const Source source;
  const Tokenizer tokenizer = source.tokenizer();
  constexpr std::size_t kLength = 48;
  Oracle oracle(source, tokenizer, kLength, false);
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    const std::string text = source.generate(kLength, seed);
    const Ids ids = tokenizer.encode(text);
    Ids partial(kLength, Tokenizer::kMask);
    double nats = 0;
    for (const std::size_t i : random_order(kLength, seed)) {
      const auto logits = predict(oracle, partial, 1, {static_cast<std::int64_t>(i)});
      nats -= logits[static_cast<std::size_t>(ids[i])];
      partial[i] = ids[i];
    }
    CHECK(std::abs(nats - source.window_nats(text)) < 1e-9);
  }
}

TEST_CASE("the causal oracle chains to the window's nats, with and without [START]", "[cpu]") {
  const Source source;
  const Tokenizer tokenizer = source.tokenizer();
  const std::string text = source.generate(128, 3);
  Oracle oracle(source, tokenizer, 128, true);
  CHECK(oracle.context() == 128);
  CHECK(oracle.vocab_size() == tokenizer.vocab_size());
  const Ids ids = tokenizer.encode(text);
  Ids inputs = {Tokenizer::kStart};
  inputs.insert(inputs.end(), ids.begin(), ids.end() - 1);
  std::vector<std::int64_t> rows(128);
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  const auto V = static_cast<std::size_t>(oracle.vocab_size());
  const auto logits = predict(oracle, inputs, 1, rows);
  double nats = 0;
  for (std::size_t i = 0; i < 128; ++i) nats -= logits[i * V + static_cast<std::size_t>(ids[i])];
  CHECK(std::abs(nats - source.window_nats(text)) < 1e-9);

  const auto continued = predict(oracle, ids, 1, rows);
  double rest = 0;
  for (std::size_t i = 0; i + 1 < 128; ++i) {
    rest -= continued[i * V + static_cast<std::size_t>(ids[i + 1])];
  }
  CHECK(std::abs(rest + source.window_nats(text.substr(0, 1)) - source.window_nats(text)) < 1e-9);
}

TEST_CASE("oracle rows are distributions over characters, equal in any batch", "[cpu]") {
  const Source source;
  const Tokenizer tokenizer = source.tokenizer();
  const auto V = static_cast<std::size_t>(tokenizer.vocab_size());
  for (const bool causal : {false, true}) {
    Oracle oracle(source, tokenizer, 64, causal);
    Ids batch;
    for (std::uint64_t seed = 0; seed < 3; ++seed) {
      Ids ids = tokenizer.encode(source.generate(32, seed));
      for (std::size_t i = 0; i < ids.size() && !causal; i += 2) ids[i] = Tokenizer::kMask;
      batch.insert(batch.end(), ids.begin(), ids.end());
    }
    const std::vector<std::int64_t> rows = {70, 4, 32, 8};
    const auto logits = predict(oracle, batch, 3, rows);
    for (std::size_t k = 0; k < rows.size(); ++k) {
      double total = 0;
      for (std::size_t v = 0; v < V; ++v) total += std::exp(logits[k * V + v]);
      CHECK(total == Approx(1).epsilon(1e-12));
      for (std::size_t v = 0; v < Tokenizer::kSpecials; ++v) CHECK(logits[k * V + v] == -1e300);
      const auto b = rows[k] / 32;
      const Ids alone(batch.begin() + b * 32, batch.begin() + (b + 1) * 32);
      const auto single = predict(oracle, alone, 1, {rows[k] % 32});
      CHECK(std::equal(single.begin(), single.end(),
                       logits.begin() + static_cast<std::ptrdiff_t>(k * V)));
    }
  }
}

TEST_CASE("the oracle reads a row's real tokens only", "[cpu]") {
  const Source source;
  const Tokenizer tokenizer = source.tokenizer();
  Oracle oracle(source, tokenizer, 16, false);
  Ids ids = tokenizer.encode(source.generate(10, 1));
  ids[4] = Tokenizer::kMask;
  const auto exact = predict(oracle, ids, 1, {4});
  ids.resize(16, Tokenizer::kPad);
  CHECK(predict(oracle, ids, 1, {4}, {10}) == exact);
  CHECK_THROWS_WITH(predict(oracle, ids, 1, {12}, {10}), Contains("position 12"));
  CHECK_THROWS_WITH(predict(oracle, ids, 1, {4}), Contains("id 0 is not a character"));
  CHECK_THROWS_WITH(predict(oracle, Ids(17, Tokenizer::kMask), 1, {0}), Contains("T 17"));
}

TEST_CASE("after impossible text the oracle finds all characters alike", "[cpu]") {
  const Source source({{{'A', 1, 1}}, {{'B', 0, 1}}});  // ABAB… or BABA…
  const Tokenizer tokenizer = source.tokenizer();
  Oracle masked(source, tokenizer, 8, false);
  const std::int32_t A = Tokenizer::kSpecials, B = A + 1, M = Tokenizer::kMask;
  auto logits = predict(masked, {M, M, A, M}, 1, {0, 1});
  CHECK(logits[static_cast<std::size_t>(A)] == 0);
  CHECK(logits[static_cast<std::size_t>(6 + B)] == 0);
  CHECK(logits[static_cast<std::size_t>(6 + A)] == -1e300);
  logits = predict(masked, {M, A, A, M}, 1, {0});
  CHECK(logits[static_cast<std::size_t>(A)] == Approx(std::log(0.5)));
  CHECK(logits[static_cast<std::size_t>(B)] == Approx(std::log(0.5)));
  CHECK(logits[static_cast<std::size_t>(M)] == -1e300);
}

}  // namespace
}  // namespace masque
