#include "models/source.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "kernels/backend.h"
#include "tests/support/catch.h"

using Catch::Matchers::Contains;

namespace masque {
namespace {

// Two letters, three states, with certain and impossible successions ("bbb" cannot be).
Source tiny_source() {
  return Source({{{'a', 0, 0.5}, {'b', 1, 0.5}}, {{'a', 0, 0.3}, {'b', 2, 0.7}}, {{'a', 1, 1}}});
}

// Every text of `length` letters a and b.
std::vector<std::string> all_texts(std::size_t length) {
  std::vector<std::string> texts;
  for (std::size_t bits = 0; bits < (std::size_t{1} << length); ++bits) {
    std::string text;
    for (std::size_t i = 0; i < length; ++i) text.push_back((bits >> i) & 1 ? 'b' : 'a');
    texts.push_back(text);
  }
  return texts;
}

double probability(const Source& source, const std::string& text) {
  return std::exp(-source.window_nats(text));
}

double entry(const std::vector<double>& rows, std::size_t row, char character) {
  return rows[row * Source::kCharacters + static_cast<unsigned char>(character)];
}

TEST_CASE("the stationary distribution is one", "[cpu]") {
  for (const Source& source : {Source(), tiny_source()}) {
    const std::vector<double>& pi = source.stationary();
    std::vector<double> next(source.states(), 0);
    for (std::size_t state = 0; state < source.states(); ++state) {
      for (const Source::Edge& edge : source.edges()[state]) {
        next[static_cast<std::size_t>(edge.next)] += pi[state] * edge.probability;
      }
    }
    CHECK(std::abs(std::accumulate(pi.begin(), pi.end(), 0.0) - 1) < 1e-14);
    for (std::size_t state = 0; state < source.states(); ++state) {
      REQUIRE(pi[state] > 0);
      REQUIRE(std::abs(next[state] - pi[state]) < 1e-15);
    }
  }
  // By hand: π₁ = π₀/2 + π₂, π₂ = 0.7π₁.
  const std::vector<double> expected = {0.3 / 0.5, 1, 0.7};
  const double total = 0.3 / 0.5 + 1.7;
  for (std::size_t state = 0; state < 3; ++state) {
    CHECK(tiny_source().stationary()[state] == Approx(expected[state] / total).epsilon(1e-14));
  }
}

TEST_CASE("window probabilities sum to 1 and agree with a walk over states", "[cpu]") {
  const Source source = tiny_source();
  for (std::size_t length = 0; length <= 10; ++length) {
    double total = 0;
    for (const std::string& text : all_texts(length)) total += probability(source, text);
    CHECK(std::abs(total - 1) < 1e-13);
  }
  for (const std::string& text : all_texts(6)) {
    double expected = 0;
    for (std::size_t first = 0; first < source.states(); ++first) {
      double mass = source.stationary()[first];
      std::size_t state = first;
      for (const char character : text) {
        const auto& edges = source.edges()[state];
        const auto edge = std::find_if(edges.begin(), edges.end(), [&](const Source::Edge& e) {
          return e.character == character;
        });
        mass *= edge == edges.end() ? 0 : edge->probability;
        if (mass == 0) break;
        state = static_cast<std::size_t>(edge->next);
      }
      expected += mass;
    }
    CHECK(std::abs(probability(source, text) - expected) < 1e-15);
  }
  CHECK(source.window_nats("bbb") == std::numeric_limits<double>::infinity());
  CHECK(source.window_nats("") == 0);
}

TEST_CASE("conditionals agree with enumeration at every mask", "[cpu]") {
  const Source source = tiny_source();
  constexpr std::size_t kLength = 5;
  const auto texts = all_texts(kLength);
  for (int code = 0; code < 243; ++code) {  // of each position: unknown, a or b
    std::vector<int> known;
    for (int i = 0, rest = code; i < static_cast<int>(kLength); ++i, rest /= 3) {
      known.push_back(rest % 3 == 0 ? -1 : rest % 3 == 1 ? 'a' : 'b');
    }
    const auto rows = source.conditionals(known);
    double total = 0;
    std::vector<double> mass_of_a(kLength, 0);
    for (const std::string& text : texts) {
      bool matches = true;
      for (std::size_t i = 0; i < kLength; ++i) {
        matches = matches && (known[i] == -1 || known[i] == text[i]);
      }
      if (!matches) continue;
      const double mass = probability(source, text);
      total += mass;
      for (std::size_t i = 0; i < kLength; ++i) mass_of_a[i] += text[i] == 'a' ? mass : 0;
    }
    for (std::size_t i = 0; i < kLength; ++i) {
      const double a = std::exp(entry(rows, i, 'a')), b = std::exp(entry(rows, i, 'b'));
      if (total == 0) {
        REQUIRE(a == 0);
        REQUIRE(b == 0);
        continue;
      }
      REQUIRE(std::abs(a - mass_of_a[i] / total) < 1e-13);
      REQUIRE(std::abs(a + b - 1) < 1e-13);
      REQUIRE(entry(rows, i, 'c') == -std::numeric_limits<double>::infinity());
    }
  }
  const std::vector<int> known = {-1, 'b', -1};
  const auto all = source.conditionals(known);
  const auto some = source.conditionals(known, std::vector<std::int64_t>{2, 0});
  CHECK(entry(some, 0, 'a') == entry(all, 2, 'a'));
  CHECK(entry(some, 1, 'a') == entry(all, 0, 'a'));
}

TEST_CASE("predictions chain to the window's nats", "[cpu]") {
  const Source source;
  const std::string text = source.generate(300, 4);
  const auto rows = source.predictions(text);
  REQUIRE(rows.size() == 301 * Source::kCharacters);
  double nats = 0;
  for (std::size_t i = 0; i < text.size(); ++i) nats -= entry(rows, i, text[i]);
  CHECK(nats == Approx(source.window_nats(text)).epsilon(1e-13));
  const auto impossible = tiny_source().predictions("bbba");
  CHECK(entry(impossible, 2, 'b') == -std::numeric_limits<double>::infinity());
  CHECK(entry(impossible, 4, 'a') == -std::numeric_limits<double>::infinity());
}

TEST_CASE("the entropy rate is what long text costs", "[cpu]") {
  const Source tiny = tiny_source();
  const double by_hand = (0.6 * std::log(2) - 0.3 * std::log(0.3) - 0.7 * std::log(0.7)) / 2.3;
  CHECK(tiny.entropy_rate() == Approx(by_hand).epsilon(1e-12));
  for (const Source& source : {Source(), tiny}) {
    constexpr std::int64_t kLength = 400000;
    const double rate = source.window_nats(source.generate(kLength, 1)) / kLength;
    CHECK(std::abs(rate - source.entropy_rate()) < 0.003);
  }
}

TEST_CASE("a window without context costs a little more than the rate", "[cpu]") {
  const Source source;
  constexpr std::size_t kWindows = 1500, kLength = 128;
  const std::string text = source.generate(kWindows * kLength, 2);
  double nats = 0;
  for (std::size_t w = 0; w < kWindows; ++w) {
    nats += source.window_nats(std::string_view(text).substr(w * kLength, kLength));
  }
  const double excess = nats / (kWindows * kLength) - source.entropy_rate();
  CHECK(excess > 0.02);
  CHECK(excess < 0.05);
}

TEST_CASE("generation starts from the stationary distribution and follows the edges", "[cpu]") {
  const Source source = tiny_source();
  constexpr int kSeeds = 20000;
  std::vector<int> counts(8, 0);
  const auto texts = all_texts(3);
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const std::string text = source.generate(3, seed);
    ++counts[static_cast<std::size_t>(std::find(texts.begin(), texts.end(), text) - texts.begin())];
  }
  for (std::size_t k = 0; k < texts.size(); ++k) {
    const double p = probability(source, texts[k]);
    CHECK(std::abs(counts[k] - kSeeds * p) <= 4.5 * std::sqrt(kSeeds * p * (1 - p)));
  }
}

TEST_CASE("generation depends on the seed alone", "[cpu]") {
  const Source source;
  const std::string text = source.generate(5000, 7);
  CHECK(text.size() == 5000);
  CHECK(Source().generate(5000, 7) == text);
  CHECK(source.generate(100, 7) == text.substr(0, 100));
  CHECK(source.generate(5000, 8) != text);
  CHECK(source.generate(0, 7).empty());
  const Tokenizer tokenizer = source.tokenizer();
  CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
  CHECK(Tokenizer::from_text(source.generate(200000, 1)) == tokenizer);
}

TEST_CASE("the embedded grammar is small, connected and aperiodic", "[cpu]") {
  const Source source;  // its constructor checks sums and that all states reach each other
  INFO(source.states() << " states, " << source.entropy_rate() << " nats a character");
  CHECK(source.states() <= 400);
  CHECK(source.tokenizer().vocab_size() <= 40);
  CHECK(source.entropy_rate() > 0.4);
  CHECK(source.entropy_rate() < 0.8);
  // Period: the greatest common divisor of (depth + 1 − depth of the next state) over all edges.
  std::vector<int> depth(source.states(), -1);
  std::vector<std::size_t> open = {0};
  depth[0] = 0;
  for (std::size_t k = 0; k < open.size(); ++k) {
    for (const Source::Edge& edge : source.edges()[open[k]]) {
      const auto next = static_cast<std::size_t>(edge.next);
      if (depth[next] != -1) continue;
      depth[next] = depth[open[k]] + 1;
      open.push_back(next);
    }
  }
  int period = 0;
  for (std::size_t state = 0; state < source.states(); ++state) {
    for (const Source::Edge& edge : source.edges()[state]) {
      period = std::gcd(period, depth[state] + 1 - depth[static_cast<std::size_t>(edge.next)]);
    }
  }
  CHECK(period == 1);
}

TEST_CASE("a wrong source is refused", "[cpu]") {
  const auto refused = [](std::vector<std::vector<Source::Edge>> edges, const std::string& why) {
    CHECK_THROWS_WITH(Source(std::move(edges)), Contains(why));
  };
  refused({}, "at least one state");
  refused({{{'a', 0, 0.5}, {'b', 0, 0.4}}}, "state 0 sum to 0.9");
  refused({{{'a', 0, 0.5}, {'a', 0, 0.5}}}, "writes character 97 twice");
  refused({{{'a', 1, 1}}}, "goes to 1");
  refused({{{'a', 0, 1.5}, {'b', 0, -0.5}}}, "probability -0.5");
  refused({{{'\xe9', 0, 1}}}, "not ASCII");
  refused({{{'a', 0, 0.5}, {'b', 1, 0.5}}, {{'a', 1, 1}}}, "reachable");
  refused({{{'a', 0, 1}}, {{'a', 0, 1}}}, "reachable");
}

}  // namespace
}  // namespace masque
