// Classifier-free guidance: its closed form, its cost, what it refuses.
#include <limits>

#include "kernels/backend.h"
#include "tests/support/catch.h"
#include "tests/support/sampling.h"

namespace masque::test {
namespace {

SampleOptions guided(SampleOptions options, double w) {
  options.guidance = w;
  return options;
}

// Keeps what it is asked.
class Recorder : public Predictor {
 public:
  explicit Recorder(Predictor& predictor) : predictor_(predictor) {}
  std::int64_t vocab_size() const override { return predictor_.vocab_size(); }
  std::int64_t context() const override { return predictor_.context(); }
  void predict(const PredictorInput& input, std::span<double> logits) override {
    asked.emplace_back(input.ids.begin(), input.ids.end());
    predictor_.predict(input, logits);
  }

  std::vector<Ids> asked;

 private:
  Predictor& predictor_;
};

TEST_CASE("Guidance draws from softmax((1 + w)·conditional − w·unconditional)", "[sampler][cpu]") {
  const MarkovChain chain = uneven_letters();
  MarkovPredictor predictor(chain, 2, false);
  const Ids canvas = {kB, kMask};
  const std::vector<double> given = chain.conditionals(canvas),
                            without = chain.conditionals(masks(2));
  for (const double w : {0.7, 3.0}) {
    std::vector<double> p;
    double sum = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      p.push_back(std::exp((1 + w) * std::log(given[3 + k]) - w * std::log(without[3 + k])));
      sum += p.back();
    }
    Law law;
    for (std::size_t k = 0; k < 3; ++k) law[{kB, kA + static_cast<std::int32_t>(k)}] = p[k] / sum;
    for (const std::string& strategy : strategy_names()) {
      CAPTURE(w, strategy);
      const SampleOptions options = guided(with(strategy, 1), w);
      bool exact = true;
      const SampleResult result =
          sample_llada(predictor, repeated(canvas, kMany), 2, chain.excluded(), options,
                       [&](const StepReport& report) {
                         for (std::size_t i = 1; i < report.sequences.size(); i += 2) {
                           const double expected = law.at({kB, report.sequences[i]});
                           exact = exact && std::abs(report.probabilities[i] - expected) < 1e-12;
                         }
                       });
      CHECK(chi_squared(result.ids, 2, law) < 28);  // 2 degrees of freedom: once in 1e6
      CHECK(exact);                                 // the confidence is of the guided logits
    }
  }
}

TEST_CASE("Guidance moves the most probable token and the order", "[sampler][cpu]") {
  // Given a, c is likelier than b; without it, far likelier: guidance turns that round.
  const MarkovChain chain({0.2, 0.1, 0.7}, {{0.1, 0.42, 0.48}, {0.1, 0.1, 0.8}, {0.1, 0.1, 0.8}});
  MarkovPredictor predictor(chain, 2, false);
  SampleOptions options = with("max_prob", 1);
  options.draw.temperature = 0;
  const auto drawn = [&](double w) {
    return sample_llada(predictor, {kA, kMask}, 2, chain.excluded(), guided(options, w)).ids[1];
  };
  CHECK(drawn(0) == kC);
  CHECK(drawn(2) == kB);
}

TEST_CASE("The unconditional forward sees what was written, not what was given", "[sampler][cpu]") {
  const MarkovChain chain = uneven_letters();
  MarkovPredictor toy(chain, 4, false);
  Recorder predictor(toy);
  const SampleResult result = sample_llada(predictor, {kMask, kC, kMask, kA}, 4, chain.excluded(),
                                           guided(with("random", 2), 1));
  CHECK(result.forwards == 4);
  CHECK(result.sequence_forwards == std::vector<std::int64_t>{4});
  REQUIRE(predictor.asked.size() == 4);
  CHECK(predictor.asked[0] == Ids{kMask, kC, kMask, kA});
  CHECK(predictor.asked[1] == masks(4));
  const Ids& conditional = predictor.asked[2];
  CHECK(std::count(conditional.begin(), conditional.end(), kMask) == 1);
  Ids expected = conditional;
  expected[1] = expected[3] = kMask;
  CHECK(predictor.asked[3] == expected);
  CHECK(std::count(expected.begin(), expected.end(), kMask) == 3);
}

TEST_CASE("Guidance of 0 changes and costs nothing", "[sampler][cpu]") {
  const MarkovChain chain = uneven_letters();
  MarkovPredictor predictor(chain, 5, false);
  const Ids canvas = {kA, kMask, kMask, kMask, kMask};
  const SampleResult none = sample_llada(predictor, canvas, 5, chain.excluded(), with("margin", 3));
  predictor.forwards = 0;
  const SampleResult zero =
      sample_llada(predictor, canvas, 5, chain.excluded(), guided(with("margin", 3), 0));
  CHECK(zero.ids == none.ids);
  CHECK(zero.forwards == 3);
  CHECK(predictor.forwards == 3);
  // And without a prompt it is no request for guidance.
  CHECK_NOTHROW(
      sample_llada(predictor, masks(5), 5, chain.excluded(), guided(with("margin", 3), 0)));
}

TEST_CASE("Guidance leaves the impossible impossible", "[sampler][cpu]") {
  const MarkovChain chain = alternating_letters();
  MarkovPredictor predictor(chain, 5, false);
  const Ids ids = sample_llada(predictor, {kMask, kMask, kB, kMask, kMask}, 5, chain.excluded(),
                               guided(with("random", 2), 1.5))
                      .ids;
  CHECK(ids == Ids{kB, kA, kB, kA, kB});
}

TEST_CASE("Guidance that cannot be is refused", "[sampler][cpu]") {
  const MarkovChain chain = uneven_letters();
  MarkovPredictor predictor(chain, 3, false);
  const auto sample = [&](const Ids& ids, double w) {
    return sample_llada(predictor, ids, 3, chain.excluded(), guided({}, w));
  };
  CHECK_THROWS_AS(sample(masks(3), 1), InputError);
  CHECK_THROWS_WITH(sample(masks(3), 1), Catch::Contains("no token is given to guide by"));
  CHECK_THROWS_WITH(sample({kA, kMask, kMask, kMask, kMask, kMask}, 1),
                    Catch::Contains("no token is given"));
  CHECK_THROWS_WITH(sample({kA, kMask, kMask}, -0.5), Catch::Contains("cfg) is -0.5"));
  CHECK_THROWS_AS(sample({kA, kMask, kMask}, std::nan("")), InputError);
  CHECK_THROWS_AS(sample({kA, kMask, kMask}, std::numeric_limits<double>::infinity()), InputError);
  CHECK(sample({kA, kB, kC}, 1).forwards == 0);
}

}  // namespace
}  // namespace masque::test
