#include "models/kneser_ney.h"

#include <cmath>

#include "models/source.h"
#include "models/tokenizer.h"
#include "tests/support/catch.h"
#include "tests/support/toy_predictor.h"

namespace masque::test {
namespace {

using Ids = std::vector<std::int32_t>;

constexpr std::int32_t kA = Tokenizer::kSpecials, kB = kA + 1, kC = kA + 2;
const std::vector<std::uint8_t> kThree = {1, 1, 1, 1, 0, 0, 0};

double total(const KneserNey& kn, const Ids& history, std::span<const std::uint8_t> excluded) {
  double sum = 0;
  for (std::size_t id = 0; id < excluded.size(); ++id) {
    if (excluded[id] == 0) sum += kn.probability(history, static_cast<std::int32_t>(id));
  }
  return sum;
}

TEST_CASE("Kneser-Ney probabilities sum to 1 over what text may hold", "[kneser_ney][cpu]") {
  const Source source;
  const Tokenizer tokenizer = source.tokenizer();
  const Ids text = tokenizer.encode(source.generate(3000, 1));
  const auto excluded = tokenizer.excluded();
  for (const std::int64_t order : {1, 2, 3, 6}) {
    const KneserNey kn(text, order, excluded);
    // Seen, seen in part, never seen, shorter than the order, and the text's end.
    for (const Ids& history :
         {Ids(text.begin() + 500, text.begin() + 510), tokenizer.encode("thtthh"),
          tokenizer.encode("hhhhhhhh"), Ids(text.begin() + 7, text.begin() + 9), Ids{},
          Ids(text.end() - 6, text.end())}) {
      INFO("order " << order << ", history " << tokenizer.decode(history));
      CHECK(total(kn, history, excluded) == Approx(1).epsilon(1e-12));
      for (std::size_t id = 0; id < excluded.size(); ++id) {
        if (excluded[id] == 0) CHECK(kn.probability(history, static_cast<std::int32_t>(id)) > 0);
      }
    }
  }
}

TEST_CASE("Kneser-Ney by hand", "[kneser_ney][cpu]") {
  // Pairs: AA 2, AB 1, BA 1. Too few for discounts of their own: 0.5, 1, 1.5.
  const Ids text = {kA, kA, kA, kB, kA};
  const KneserNey kn(text, 2, kThree);
  const double uniform = 1.0 / 3;
  // Before A: A, B and the start; before B: A. So A in 3 histories and B in 1, of 4.
  const double lower_a = (3 - 1.5 + (1.5 + 0.5) * uniform) / 4;
  const double lower_b = (1 - 0.5 + (1.5 + 0.5) * uniform) / 4;
  const double lower_c = (1.5 + 0.5) * uniform / 4;
  const Ids after_a = {kA}, after_b = {kB}, after_c = {kC};
  CHECK(kn.probability(after_a, kA) == Approx((2 - 1 + (1 + 0.5) * lower_a) / 3).epsilon(1e-12));
  CHECK(kn.probability(after_a, kB) == Approx((1 - 0.5 + 1.5 * lower_b) / 3).epsilon(1e-12));
  CHECK(kn.probability(after_a, kC) == Approx(1.5 * lower_c / 3).epsilon(1e-12));
  CHECK(kn.probability(after_b, kA) == Approx((1 - 0.5 + 0.5 * lower_a) / 1).epsilon(1e-12));
  CHECK(kn.probability(after_c, kB) == Approx(lower_b).epsilon(1e-12));
  // A text's first token is asked of the unigram: A 4 times, B once, of 5.
  const double first_a = (4 - 1.5 + 2 * uniform) / 5;
  CHECK(kn.probability({}, kA) == Approx(first_a).epsilon(1e-12));
  const Ids pair = {kA, kB};
  CHECK(kn.text_nats(pair) ==
        Approx(-std::log(first_a) - std::log(kn.probability(after_a, kB))).epsilon(1e-12));
}

TEST_CASE("Kneser-Ney discounts by how many n-grams have which count", "[kneser_ney][cpu]") {
  // Letters counted 1, 1, 1, 1, 2, 2, 3, 4: n1 = 4, n2 = 2, n3 = 1, n4 = 1.
  Ids text;
  const std::vector<int> counts = {1, 1, 1, 1, 2, 2, 3, 4};
  for (std::size_t k = 0; k < counts.size(); ++k) {
    text.insert(text.end(), static_cast<std::size_t>(counts[k]), kA + static_cast<std::int32_t>(k));
  }
  std::vector<std::uint8_t> excluded(Tokenizer::kSpecials, 1);
  excluded.resize(Tokenizer::kSpecials + 10, 0);  // two letters more than occur
  const KneserNey kn(text, 1, excluded);
  const double y = 4.0 / (4 + 2 * 2);
  const double one = 1 - 2 * y * 2 / 4, two = 2 - 3 * y * 1 / 2, more = 3 - 4 * y * 1 / 1;
  const double freed = 4 * one + 2 * two + 2 * more;
  CHECK(kn.probability({}, kA) == Approx((1 - one + freed / 10) / 15).epsilon(1e-12));
  CHECK(kn.probability({}, kA + 4) == Approx((2 - two + freed / 10) / 15).epsilon(1e-12));
  CHECK(kn.probability({}, kA + 7) == Approx((4 - more + freed / 10) / 15).epsilon(1e-12));
  CHECK(kn.probability({}, kA + 9) == Approx(freed / 10 / 15).epsilon(1e-12));
}

TEST_CASE("Kneser-Ney learns a chain", "[kneser_ney][cpu]") {
  const MarkovChain chain = uneven_letters();
  const auto text = chain.generate(50000, 1), fresh = chain.generate(2000, 2);
  const double truth = chain.nats(fresh);
  CHECK(KneserNey(text, 3, chain.excluded()).text_nats(fresh) == Approx(truth).epsilon(0.005));
  CHECK(KneserNey(text, 1, chain.excluded()).text_nats(fresh) > truth + 100);
}

TEST_CASE("Kneser-Ney refuses what it cannot be fitted on", "[kneser_ney][cpu]") {
  const Ids text = {kA, kB}, special = {kA, Tokenizer::kMask};
  CHECK_THROWS_WITH(KneserNey({}, 2, kThree), Catch::Contains("empty text"));
  CHECK_THROWS_WITH(KneserNey(text, 0, kThree), Catch::Contains("order 0"));
  CHECK_THROWS_WITH(KneserNey(special, 2, kThree), Catch::Contains("token 1"));
  CHECK_THROWS_WITH(KneserNey(text, 2, kThree).probability(text, 7), Catch::Contains("token 7"));
}

}  // namespace
}  // namespace masque::test
