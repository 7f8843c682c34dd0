#include "models/ngram.h"

#include <cmath>

#include "models/tokenizer.h"
#include "tests/support/catch.h"
#include "tests/support/toy_predictor.h"

namespace masque::test {
namespace {

constexpr std::int32_t kA = Tokenizer::kSpecials, kB = kA + 1;
const std::vector<std::uint8_t> kExcluded = {1, 1, 1, 1, 0, 0};

TEST_CASE("Unigram counts plus one half, over letters only", "[ngram][cpu]") {
  const std::vector<std::int32_t> train = {kA, kA, kA, kB}, test = {kA, kB};
  const double expected = -(std::log(3.5 / 5) + std::log(1.5 / 5)) / 2;
  CHECK(unigram_nats(train, test, {{0, 2, 0}}, kExcluded) == Approx(expected).epsilon(1e-12));
}

TEST_CASE("Bigram scores a window's first token by the unigram", "[ngram][cpu]") {
  const std::vector<std::int32_t> train = {kA, kA, kA, kB}, test = {kA, kB, kA, kA};
  const double first = -std::log(3.5 / 5);
  const double ab = -std::log(1.5 / 4), aa = -std::log(2.5 / 4);
  const double ba = -std::log(0.5 / 1);  // nothing follows B in train
  CHECK(bigram_nats(train, test, {{0, 2, 0}, {2, 2, 0}}, kExcluded) ==
        Approx((first + ab + first + aa) / 4).epsilon(1e-12));
  CHECK(bigram_nats(train, test, {{0, 4, 2}}, kExcluded) == Approx((ba + aa) / 2).epsilon(1e-12));
}

TEST_CASE("A bigram learns a chain", "[ngram][cpu]") {
  const MarkovChain chain = uneven_letters();
  const auto train = chain.generate(200000, 1), test = chain.generate(2000, 2);
  const std::vector<Window> whole = {{0, 2000, 0}};
  const double truth = chain.nats(test) / 2000;
  CHECK(bigram_nats(train, test, whole, chain.excluded()) == Approx(truth).margin(0.002));
  CHECK(unigram_nats(train, test, whole, chain.excluded()) > truth + 0.05);
}

TEST_CASE("Text that holds a special token is refused", "[ngram][cpu]") {
  const std::vector<std::int32_t> good = {kA, kB}, bad = {kA, Tokenizer::kMask}, unknown = {kA, 6};
  CHECK_THROWS_WITH(unigram_nats(bad, good, {{0, 2, 0}}, kExcluded), Catch::Contains("token 1"));
  CHECK_THROWS_WITH(bigram_nats(good, unknown, {{0, 2, 0}}, kExcluded), Catch::Contains("token 6"));
}

}  // namespace
}  // namespace masque::test
