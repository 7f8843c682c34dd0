#include "models/text_statistics.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "models/copied_spans.h"
#include "tests/support/catch.h"

namespace masque::test {
namespace {

using Ids = std::vector<std::int32_t>;

const Tokenizer& tokenizer() {
  static const Tokenizer made = Tokenizer::from_text("abcdxyz .'");
  return made;
}

TextSet texts_of(const std::vector<std::string>& texts) {
  TextSet set;
  set.T = static_cast<std::int64_t>(texts.front().size());
  for (const std::string& text : texts) {
    const Ids ids = tokenizer().encode(text);
    REQUIRE(static_cast<std::int64_t>(ids.size()) == set.T);
    set.ids.insert(set.ids.end(), ids.begin(), ids.end());
  }
  return set;
}

TEST_CASE("Entropy of tokens", "[text_statistics][cpu]") {
  CHECK(token_entropy(texts_of({"aaaa", "aaaa"})) == 0);
  CHECK(token_entropy(texts_of({"abcd", "dcba"})) == Approx(std::log(4)));
  CHECK(token_entropy(texts_of({"aaab"})) ==
        Approx(-0.75 * std::log(0.75) - 0.25 * std::log(0.25)));
  CHECK(std::isnan(token_entropy({})));
}

TEST_CASE("Distinct n-grams count no n-gram across texts", "[text_statistics][cpu]") {
  const TextSet texts = texts_of({"abab", "abcd"});
  CHECK(distinct_ngrams(texts, 1) == Approx(4.0 / 8));
  CHECK(distinct_ngrams(texts, 2) == Approx(4.0 / 6));  // ab ba bc cd
  CHECK(distinct_ngrams(texts, 4) == 1);
  CHECK(std::isnan(distinct_ngrams(texts, 5)));
}

// BLEU-4 of one text against the others, counted one by one.
double brute_bleu(const TextSet& texts, std::int64_t i) {
  const auto count = [&](std::int64_t text, Ids::const_iterator gram, std::int64_t n) {
    std::int64_t found = 0;
    const auto ids = texts.text(text);
    for (std::int64_t k = 0; k + n <= texts.T; ++k) {
      found += std::equal(gram, gram + n, ids.begin() + k) ? 1 : 0;
    }
    return found;
  };
  double product = 1;
  for (std::int64_t n = 1; n <= 4; ++n) {
    double clipped = 0;
    for (std::int64_t k = 0; k + n <= texts.T; ++k) {
      const auto gram = texts.ids.begin() + i * texts.T + k;
      std::int64_t most = 0;
      for (std::int64_t j = 0; j < texts.count(); ++j) {
        if (j != i) most = std::max(most, count(j, gram, n));
      }
      const std::int64_t own = count(i, gram, n);
      clipped += static_cast<double>(std::min(own, most)) / static_cast<double>(own);
    }
    product *= clipped / static_cast<double>(texts.T - n + 1);
  }
  return std::pow(product, 0.25);
}

TEST_CASE("Self-BLEU is BLEU-4 of each text against the others", "[text_statistics][cpu]") {
  CHECK(self_bleu(texts_of({"abcd", "abcd"})) == Approx(1));
  CHECK(self_bleu(texts_of({"aaaa", "bbbb"})) == 0);
  // Clipped: aaaaa has 5 a, aaaab 4; 4 aa, 3; 3 aaa, 2; 2 aaaa, 1. And aaaab lacks b, ab, aab,
  // aaab.
  const double first = std::pow(4.0 / 5 * 3 / 4 * 2 / 3 * 1 / 2, 0.25);
  CHECK(self_bleu(texts_of({"aaaaa", "aaaab"})) == Approx(first));
  CHECK(std::isnan(self_bleu(texts_of({"abcd"}))));
  CHECK(std::isnan(self_bleu(texts_of({"abc", "abc"}))));

  std::mt19937 random(3);
  TextSet texts;
  texts.T = 30;
  for (int k = 0; k < 6 * 30; ++k) texts.ids.push_back(4 + static_cast<int>(random() % 3));
  double sum = 0;
  for (std::int64_t i = 0; i < texts.count(); ++i) sum += brute_bleu(texts, i);
  CHECK(self_bleu(texts) == Approx(sum / 6).epsilon(1e-12));
  CHECK(sum > 0.5);
}

TEST_CASE("Repetition is within a text", "[text_statistics][cpu]") {
  CHECK(repetition(texts_of({"abab", "abab"}), 2) == Approx(2.0 / 6));
  CHECK(repetition(texts_of({"abcd", "abcd"}), 2) == 0);
  CHECK(repetition(texts_of({"aaaaaaaaaa"}), 8) == Approx(2.0 / 3));
  CHECK(std::isnan(repetition(texts_of({"abc"}), 8)));
}

TEST_CASE("Divergence is 0 of like sets and ln 2 of sets with nothing common",
          "[text_statistics][cpu]") {
  CHECK(ngram_divergence(texts_of({"abcd"}), texts_of({"dcba"}), 1) == 0);
  CHECK(ngram_divergence(texts_of({"abab"}), texts_of({"cdcd"}), 2) == Approx(std::log(2)));
  // a 3/4, b 1/4 against a 1/4, b 3/4
  const double half = std::log(2), uneven = -0.75 * std::log(0.75) - 0.25 * std::log(0.25);
  CHECK(ngram_divergence(texts_of({"aaab"}), texts_of({"abbb"}), 1) == Approx(half - uneven));
  CHECK(std::isnan(ngram_divergence(texts_of({"ab"}), texts_of({"ab"}), 3)));
  CHECK_THROWS_WITH(ngram_divergence(texts_of({"abcd"}), texts_of({"ab", "cd"}), 1),
                    Catch::Contains("one size"));
}

TEST_CASE("Words are whole, and real where the text has them", "[text_statistics][cpu]") {
  // The text's first and last run may be cut: "ab" and "xy" are no words of it.
  const Lexicon lexicon(tokenizer().encode("ab cd a'b. xyz dd xy"), tokenizer());
  CHECK(lexicon.real_words(texts_of({" cd ab. "})) == Approx(1.0 / 2));
  CHECK(lexicon.real_words(texts_of({"zz cd zz"})) == 1);
  CHECK(lexicon.real_words(texts_of({" a' zz. "})) == Approx(1.0 / 2));
  CHECK(lexicon.real_words(texts_of({" dd ", " xy "})) == Approx(1.0 / 2));
  CHECK(std::isnan(lexicon.real_words(texts_of({"abcd"}))));
  CHECK(std::isnan(lexicon.real_words(texts_of({"ab cd"}))));
}

TEST_CASE("Letters are of any script", "[text_statistics][cpu]") {
  const std::string text = "Az0 .é×÷Σя“—漢、";
  const Tokenizer scripts = Tokenizer::from_text(text);
  const auto letters = letters_of(scripts);
  std::string found;
  for (const std::int32_t id : scripts.encode(text)) {
    if (letters[static_cast<std::size_t>(id)] != 0) found += scripts.decode({&id, 1});
  }
  CHECK(found == "AzéΣя漢");
}

TEST_CASE("Texts are spread over a split", "[text_statistics][cpu]") {
  Ids tokens(20);
  for (std::size_t k = 0; k < tokens.size(); ++k) tokens[k] = 4 + static_cast<int>(k);
  const TextSet texts = spread_texts(tokens, 3, 4, "the split");
  CHECK(texts.ids == Ids{4, 5, 6, 7, 10, 11, 12, 13, 16, 17, 18, 19});
  CHECK_THROWS_WITH(spread_texts(tokens, 6, 4, "the split"),
                    Catch::Contains("the split has 20 tokens") && Catch::Contains("at most 5"));
}

TEST_CASE("Copied spans are the longest that end at each place", "[copied_spans][cpu]") {
  CHECK(copied_spans(Ids{4, 5, 6, 7}, 4, Ids{9, 5, 6, 9}) == std::vector<std::int64_t>{0, 1, 2, 0});
  // No span crosses from one text to the next.
  CHECK(copied_spans(Ids{4, 5, 6, 7}, 2, Ids{4, 5, 6, 7}) == std::vector<std::int64_t>{1, 2, 1, 2});
  CHECK(copied_spans(Ids{4, 5}, 2, {}) == std::vector<std::int64_t>{0, 0});
  CHECK(copied_spans({}, 2, Ids{4}).empty());
  CHECK_THROWS_WITH(copied_spans(Ids{4, 5, 6}, 2, {}), Catch::Contains("no texts of 2"));
}

TEST_CASE("Copied spans agree with a search for every substring", "[copied_spans][cpu]") {
  std::mt19937 random(7);
  for (int trial = 0; trial < 60; ++trial) {
    const int letters = 1 + trial % 4;
    const std::int64_t T = 1 + trial % 13;
    Ids texts, source;
    for (std::int64_t k = 0; k < 5 * T; ++k) {
      texts.push_back(4 + static_cast<std::int32_t>(random() % static_cast<unsigned>(letters)));
    }
    for (int k = 0; k < 40; ++k) {
      source.push_back(4 + static_cast<std::int32_t>(random() % static_cast<unsigned>(letters)));
    }
    std::vector<std::int64_t> expected;
    for (std::int64_t i = 0; i < 5 * T; ++i) {
      std::int64_t longest = 0;
      for (std::int64_t n = 1; n <= i % T + 1; ++n) {
        const auto end = texts.begin() + i + 1;
        if (std::search(source.begin(), source.end(), end - n, end) != source.end()) longest = n;
      }
      expected.push_back(longest);
    }
    REQUIRE(copied_spans(texts, T, source) == expected);
  }
}

}  // namespace
}  // namespace masque::test
