#include "models/sampler.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "kernels/backend.h"
#include "tests/support/catch.h"
#include "tests/support/sampling.h"

namespace masque::test {
namespace {

bool alternates(std::span<const std::int32_t> ids) {
  return std::adjacent_find(ids.begin(), ids.end()) == ids.end();
}

// Two letters, the second like the first with probability 0.9.
MarkovChain sticky_letters() {
  return {{0.5, 0.5}, {{0.9, 0.1}, {0.1, 0.9}}};
}

TEST_CASE("ancestral approaches the source as steps grow", "[sampler][cpu]") {
  const MarkovChain chain = sticky_letters();
  MarkovPredictor predictor(chain, 2, false);
  // Both tokens come in one step with probability 1/steps, and are then independent.
  for (const std::int64_t steps : {1, 2, 5, 50}) {
    const SampleResult result =
        sample_llada(predictor, masks(2 * kMany), 2, chain.excluded(), with("ancestral", steps));
    const double equal = share(result.ids, 2, [](auto ids) { return ids[0] == ids[1]; });
    CHECK(equal == Approx(0.9 - 0.4 / static_cast<double>(steps)).margin(kMargin));
    const double first = share(result.ids, 2, [](auto ids) { return ids[0] == kA; });
    CHECK(first == Approx(0.5).margin(kMargin));
  }
}

TEST_CASE("All at once is right with probability 2^(1-L), one a step always", "[sampler][cpu]") {
  const MarkovChain chain = alternating_letters();
  MarkovPredictor predictor(chain, 6, false);
  for (const std::string strategy : {"ancestral", "low_confidence"}) {
    const SampleResult once =
        sample_llada(predictor, masks(6 * kMany), 6, chain.excluded(), with(strategy, 1));
    CHECK(once.forwards == 1);
    CHECK(share(once.ids, 6, alternates) == Approx(std::pow(2, 1 - 6)).margin(0.005));
  }
  const SampleResult each =
      sample_llada(predictor, masks(6 * 500), 6, chain.excluded(), with("low_confidence", 0));
  CHECK(each.forwards == 6);
  CHECK(share(each.ids, 6, alternates) == 1);
}

TEST_CASE("low_confidence keeps the most confident, of equals the first", "[sampler][cpu]") {
  // x_1 is surer than x_0: it follows the given A at position 2 by a near-certain transition back.
  const MarkovChain chain({0.5, 0.5}, {{0.99, 0.01}, {0.3, 0.7}});
  MarkovPredictor predictor(chain, 4, false);
  SampleOptions options = with("low_confidence", 2);
  options.draw.temperature = 0;
  std::vector<std::vector<std::int32_t>> seen;
  sample_llada(predictor, {kMask, kMask, kA, kA}, 4, chain.excluded(), options,
               [&](const StepReport& report) {
                 seen.emplace_back(report.sequences.begin(), report.sequences.end());
               });
  REQUIRE(seen.size() == 2);
  CHECK(seen[0] == std::vector<std::int32_t>{kMask, kA, kA, kA});

  const MarkovChain equal = independent_letters({0.8, 0.2});
  MarkovPredictor flat(equal, 4, false);
  seen.clear();
  options.steps = 3;
  sample_llada(flat, masks(4), 4, equal.excluded(), options, [&](const StepReport& report) {
    seen.emplace_back(report.sequences.begin(), report.sequences.end());
  });
  REQUIRE(seen.size() == 3);
  CHECK(seen[0] == std::vector<std::int32_t>{kA, kA, kMask, kMask});
  CHECK(seen[1] == std::vector<std::int32_t>{kA, kA, kA, kMask});
}

TEST_CASE("Any number of steps reveals all, whatever was given stays", "[sampler][cpu]") {
  const MarkovChain chain = uneven_letters();
  MarkovPredictor predictor(chain, 7, false);
  // Rows of 5, 0 and 7 masks.
  const std::vector<std::int32_t> given = {kA,    kMask, kMask, kMask, kB,    kMask, kMask,  //
                                           kA,    kB,    kA,    kB,    kA,    kB,    kA,     //
                                           kMask, kMask, kMask, kMask, kMask, kMask, kMask};
  for (const std::string& strategy : strategy_names()) {
    for (const std::int64_t steps : {0, 1, 3, 7, 100}) {
      CAPTURE(strategy, steps);
      std::int64_t watched = 0;
      const SampleResult result =
          sample_llada(predictor, given, 7, chain.excluded(), with(strategy, steps),
                       [&](const StepReport& report) {
                         ++watched;
                         for (std::size_t i = 0; i < given.size(); ++i) {
                           if (given[i] != kMask) CHECK(report.sequences[i] == given[i]);
                         }
                       });
      if (strategy == "threshold") {
        CHECK(watched <= 7);
      } else {
        CHECK(watched == (steps == 0 ? 7 : steps));
      }
      CHECK(result.forwards <= watched);
      if (strategy != "remask") CHECK(result.forwards <= 12);
      for (std::size_t i = 0; i < given.size(); ++i) {
        CHECK(result.ids[i] >= kA);
        if (given[i] != kMask) CHECK(result.ids[i] == given[i]);
      }
    }
  }
}

TEST_CASE("A sequence's forwards are those it took part in", "[sampler][cpu]") {
  const MarkovChain chain = uneven_letters();
  MarkovPredictor predictor(chain, 4, false);
  // 2, 0 and 4 masks.
  const Ids given = {kA, kMask, kMask, kB, kA, kB, kA, kB, kMask, kMask, kMask, kMask};
  const auto forwards = [&](const std::string& strategy, std::int64_t steps) {
    return sample_llada(predictor, given, 4, chain.excluded(), with(strategy, steps))
        .sequence_forwards;
  };
  using Forwards = std::vector<std::int64_t>;
  for (const std::string strategy : {"random", "low_confidence", "margin"}) {
    CHECK(forwards(strategy, 0) == Forwards{2, 0, 4});
    CHECK(forwards(strategy, 3) == Forwards{2, 0, 3});
    CHECK(forwards(strategy, 1) == Forwards{1, 0, 1});
  }
  // 100 steps reveal nothing to most sequences in most of them.
  const Forwards ancestral = forwards("ancestral", 100);
  CHECK(ancestral[0] <= 2);
  CHECK(ancestral[1] == 0);
  CHECK(ancestral[2] <= 4);
}

TEST_CASE("A Watch sees the probability of what a step wrote, NaN elsewhere", "[sampler][cpu]") {
  const MarkovChain chain = uneven_letters();
  MarkovPredictor predictor(chain, 4, false);
  for (const std::string& strategy : strategy_names()) {
    CAPTURE(strategy);
    Ids before = {kMask, kB, kMask, kMask};
    sample_llada(predictor, before, 4, chain.excluded(), with(strategy, 2),
                 [&](const StepReport& report) {
                   const std::vector<double> p = chain.conditionals(before);
                   REQUIRE(report.probabilities.size() == 4);
                   for (std::size_t i = 0; i < 4; ++i) {
                     if (report.sequences[i] == before[i]) {
                       CHECK(std::isnan(report.probabilities[i]));
                     } else {
                       const auto letter = static_cast<std::size_t>(report.sequences[i] - kA);
                       CHECK(report.probabilities[i] == Approx(p[i * 3 + letter]));
                     }
                   }
                   before.assign(report.sequences.begin(), report.sequences.end());
                 });
  }
}

TEST_CASE("Nothing masked needs no forward", "[sampler][cpu]") {
  const MarkovChain chain = uneven_letters();
  MarkovPredictor predictor(chain, 3, false);
  const SampleResult result =
      sample_llada(predictor, {kA, kB, kA}, 3, chain.excluded(), with("ancestral", 10));
  CHECK(result.ids == std::vector<std::int32_t>{kA, kB, kA});
  CHECK(result.forwards == 0);
  CHECK(predictor.forwards == 0);
}

TEST_CASE("The same seed draws the same ids, in a batch of any size", "[sampler][cpu]") {
  const MarkovChain chain = uneven_letters();
  MarkovPredictor predictor(chain, 12, false);
  for (const std::string& strategy : strategy_names()) {
    const auto draw = [&](std::int64_t n, std::uint64_t seed) {
      return sample_llada(predictor, masks(12 * n), 12, chain.excluded(), with(strategy, 5, seed))
          .ids;
    };
    const auto four = draw(4, 1), one = draw(1, 1);
    CHECK(draw(4, 1) == four);
    CHECK(draw(4, 2) != four);
    CHECK(std::equal(one.begin(), one.end(), four.begin()));
    std::set<std::vector<std::int32_t>> different;
    for (auto row = four.begin(); row != four.end(); row += 12) different.emplace(row, row + 12);
    CHECK(different.size() == 4);
  }
}

TEST_CASE("Temperature 0, top-k and top-p reach the draw", "[sampler][cpu]") {
  const MarkovChain chain = independent_letters({0.3, 0.5, 0.2});
  MarkovPredictor predictor(chain, 50, false);
  SampleOptions options = with("ancestral", 5);
  const auto letters = [&] {
    const auto ids = sample_llada(predictor, masks(50), 50, chain.excluded(), options).ids;
    return std::set<std::int32_t>(ids.begin(), ids.end());
  };
  CHECK(letters() == std::set<std::int32_t>{kA, kB, kB + 1});
  options.draw.top_k = 2;
  CHECK(letters() == std::set<std::int32_t>{kA, kB});
  options.draw.top_k = 0;
  options.draw.top_p = 0.5;
  CHECK(letters() == std::set<std::int32_t>{kB});
  options.draw.top_p = 1;
  options.draw.temperature = 0;
  CHECK(letters() == std::set<std::int32_t>{kB});
}

TEST_CASE("Options out of range are refused", "[sampler][cpu]") {
  const MarkovChain chain = uneven_letters();
  MarkovPredictor predictor(chain, 4, false);
  const auto sample = [&](const SampleOptions& options) {
    return sample_llada(predictor, masks(4), 4, chain.excluded(), options);
  };
  CHECK_THROWS_AS(sample(with("ancestrall", 4)), InputError);
  CHECK_THROWS_WITH(
      sample(with("ancestrall", 4)),
      "unknown strategy 'ancestrall': choose ancestral, random, low_confidence, max_prob, "
      "margin, entropy, threshold, remask");
  CHECK_THROWS_AS(sample(with("ancestral", -1)), InputError);
  SampleOptions options;
  options.draw.temperature = -0.5;
  CHECK_THROWS_WITH(sample(options), Catch::Contains("temperature is -0.5"));
  options.draw = {};
  options.draw.top_p = 0;
  CHECK_THROWS_WITH(sample(options), Catch::Contains("top-p is 0"));
  options.draw = {};
  options.draw.top_k = -1;
  CHECK_THROWS_WITH(sample(options), Catch::Contains("top-k is -1"));
  CHECK_THROWS_WITH(sample_llada(predictor, masks(5), 5, chain.excluded(), {}),
                    Catch::Contains("context, 4"));
}

// A decoder that reads from the start each time.
class ToyDecoder : public Decoder {
 public:
  ToyDecoder(MarkovPredictor& predictor, std::int64_t B)
      : predictor_(predictor), rows_(static_cast<std::size_t>(B)) {}

  std::span<const double> append(std::span<const std::int32_t> ids, std::int64_t n) override {
    std::vector<std::int32_t> all;
    std::vector<std::int64_t> last;
    for (std::size_t b = 0; b < rows_.size(); ++b) {
      const auto added = ids.subspan(b * static_cast<std::size_t>(n), static_cast<std::size_t>(n));
      rows_[b].insert(rows_[b].end(), added.begin(), added.end());
      all.insert(all.end(), rows_[b].begin(), rows_[b].end());
      last.push_back(static_cast<std::int64_t>(all.size()) - 1);
    }
    const auto B = static_cast<std::int64_t>(rows_.size());
    logits_.resize(rows_.size() * static_cast<std::size_t>(predictor_.vocab_size()));
    predictor_.predict({all, {}, B, static_cast<std::int64_t>(rows_[0].size()), last}, logits_);
    return logits_;
  }

 private:
  MarkovPredictor& predictor_;
  std::vector<std::vector<std::int32_t>> rows_;
  std::vector<double> logits_;
};

TEST_CASE("sample_ar draws from the chain", "[sampler][cpu]") {
  const MarkovChain chain = sticky_letters();
  MarkovPredictor predictor(chain, 2, true);
  ToyDecoder decoder(predictor, kMany);
  const std::vector<std::int32_t> start = {Tokenizer::kStart};
  const SampleResult result =
      sample_ar(decoder, kMany, start, 2, predictor.vocab_size(), chain.excluded(), {});
  CHECK(result.forwards == 2);
  CHECK(share(result.ids, 3, [](auto ids) { return ids[0] == Tokenizer::kStart; }) == 1);
  CHECK(share(result.ids, 3, [](auto ids) { return ids[1] == kA; }) == Approx(0.5).margin(kMargin));
  CHECK(share(result.ids, 3, [](auto ids) { return ids[1] == ids[2]; }) ==
        Approx(0.9).margin(kMargin));
}

TEST_CASE("sample_ar keeps the prompt and watches each token", "[sampler][cpu]") {
  const MarkovChain chain = uneven_letters();
  MarkovPredictor predictor(chain, 9, true);
  const std::vector<std::int32_t> prompt = {Tokenizer::kStart, kB, kB};
  DrawOptions options;
  options.temperature = 0;
  ToyDecoder decoder(predictor, 2);
  std::vector<std::int64_t> left;
  std::vector<double> written;  // probabilities, of the second row
  const SampleResult result = sample_ar(
      decoder, 2, prompt, 4, predictor.vocab_size(), chain.excluded(), options,
      [&](const StepReport& report) {
        left.push_back(std::count(report.sequences.begin(), report.sequences.end(), kMask));
        CHECK(std::count_if(report.probabilities.begin(), report.probabilities.end(),
                            [](double p) { return !std::isnan(p); }) == 2);
        const double p = report.probabilities[7 + 2 + left.size()];
        written.push_back(std::round(p * 1e6) / 1e6);
      });
  // The likeliest successors: of b, a; of a, b.
  const std::vector<std::int32_t> row = {Tokenizer::kStart, kB, kB, kA, kB, kA, kB};
  CHECK(std::equal(row.begin(), row.end(), result.ids.begin()));
  CHECK(std::equal(row.begin(), row.end(), result.ids.begin() + 7));
  CHECK(left == std::vector<std::int64_t>{6, 4, 2, 0});
  CHECK(written == std::vector<double>{0.7, 0.6, 0.7, 0.6});
  CHECK(result.sequence_forwards == std::vector<std::int64_t>{4, 4});

  ToyDecoder idle(predictor, 1);
  const SampleResult none =
      sample_ar(idle, 1, prompt, 0, predictor.vocab_size(), chain.excluded(), options);
  CHECK(none.ids == prompt);
  CHECK(none.forwards == 0);
}

}  // namespace
}  // namespace masque::test
