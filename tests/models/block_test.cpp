// Blocks left to right: where they lie, their steps, and what is written in them.
#include <numeric>

#include "kernels/backend.h"
#include "models/generation.h"
#include "tests/support/catch.h"
#include "tests/support/sampling.h"

namespace masque::test {
namespace {

using Positions = std::vector<std::int64_t>;

std::vector<std::int64_t> steps_of(const std::vector<Block>& blocks) {
  std::vector<std::int64_t> steps;
  for (const Block& block : blocks) steps.push_back(block.steps);
  return steps;
}

Positions first(std::int64_t count) {
  Positions positions(static_cast<std::size_t>(count));
  std::iota(positions.begin(), positions.end(), std::int64_t{0});
  return positions;
}

SampleOptions in_blocks(SampleOptions options, std::int64_t length) {
  options.block_length = length;
  return options;
}

TEST_CASE("Blocks lie on the canvas, those without a blank left out", "[sampler][cpu]") {
  const std::vector<Block> blocks = blocks_of(Positions{0, 2, 3, 9, 10}, 3, 0);
  REQUIRE(blocks.size() == 3);
  CHECK(blocks[0].masked == Positions{0, 2});
  CHECK(blocks[1].masked == Positions{3});
  CHECK(blocks[2].masked == Positions{9, 10});
  CHECK(blocks[2].first_step == 3);
  CHECK(blocks_of(Positions{}, 3, 5).empty());
  CHECK(blocks_of(Positions{1, 7}, 0, 2).size() == 1);
}

TEST_CASE("Steps go to blocks by their masks, at least one each", "[sampler][cpu]") {
  using Steps = std::vector<std::int64_t>;
  CHECK(steps_of(blocks_of(first(7), 3, 0)) == Steps{3, 3, 1});  // the last is ragged
  CHECK(steps_of(blocks_of(first(7), 3, 3)) == Steps{1, 1, 1});
  CHECK(steps_of(blocks_of(first(8), 2, 12)) == Steps{3, 3, 3, 3});
  CHECK(steps_of(blocks_of(first(3), 1, 7)) == Steps{2, 2, 3});
  CHECK(steps_of(blocks_of(first(5), 5, 9)) == Steps{9});
  for (std::int64_t masks = 1; masks < 14; ++masks) {
    for (std::int64_t length = 1; length < 15; ++length) {
      for (const std::int64_t extra : {0, 1, 2, 5, 30}) {
        const std::int64_t count = (masks + length - 1) / length;
        const std::vector<Block> blocks = blocks_of(first(masks), length, count + extra);
        std::int64_t begin = 0;
        for (const Block& block : blocks) {
          CHECK(block.first_step == begin);
          CHECK(block.steps >= 1);
          begin += block.steps;
        }
        CHECK(begin == count + extra);
      }
    }
  }
  CHECK_THROWS_AS(blocks_of(first(7), 3, 2), InputError);
  CHECK_THROWS_WITH(
      blocks_of(first(7), 3, 2),
      "steps is 2 and 3 blocks of length 3 have blanks: give at least one step a block");
}

struct Seen {
  SampleResult result;
  std::vector<Ids> ids;
  std::vector<std::vector<double>> probabilities;  // −1: none
};

Seen watched(Predictor& predictor, const MarkovChain& chain, const Ids& canvas, std::int64_t T,
             const SampleOptions& options) {
  Seen seen;
  seen.result =
      sample_llada(predictor, canvas, T, chain.excluded(), options, [&](const StepReport& report) {
        seen.ids.emplace_back(report.sequences.begin(), report.sequences.end());
        seen.probabilities.emplace_back();
        for (const double p : report.probabilities) {
          seen.probabilities.back().push_back(std::isnan(p) ? -1 : p);
        }
      });
  return seen;
}

TEST_CASE("One block as long as the canvas is no blocks, to the bit", "[sampler][cpu]") {
  const MarkovChain chain = uneven_letters();
  MarkovPredictor predictor(chain, 7, false, 1);
  const Ids given = repeated({kA, kMask, kMask, kMask, kB, kMask, kMask}, 3);
  for (const std::string& strategy : strategy_names()) {
    for (const std::int64_t steps : {0, 1, 3, 9}) {
      CAPTURE(strategy, steps);
      const SampleOptions options = with(strategy, steps);
      const Seen none = watched(predictor, chain, given, 7, options);
      for (const std::int64_t length : {7, 100}) {
        const Seen one = watched(predictor, chain, given, 7, in_blocks(options, length));
        CHECK(one.ids == none.ids);
        CHECK(one.probabilities == none.probabilities);
        CHECK(one.result.forwards == none.result.forwards);
      }
    }
  }
}

TEST_CASE("A block is written before the next begins", "[sampler][cpu]") {
  const MarkovChain chain = uneven_letters();
  MarkovPredictor predictor(chain, 8, false, 1);
  const Ids canvas = {kMask, kMask, kMask, kB, kMask, kMask, kMask, kMask};
  for (const std::string& strategy : strategy_names()) {
    for (const std::int64_t length : {1, 2, 3}) {
      for (const std::int64_t steps : {0, 8, 11}) {
        CAPTURE(strategy, length, steps);
        const Seen seen =
            watched(predictor, chain, canvas, 8, in_blocks(with(strategy, steps), length));
        Ids before = canvas;
        for (const Ids& ids : seen.ids) {
          const auto masked = std::find(before.begin(), before.end(), kMask);
          const std::int64_t current = (masked - before.begin()) / length;
          for (std::int64_t i = 0; i < 8; ++i) {
            const std::int64_t block = i / length;
            const auto k = static_cast<std::size_t>(i);
            // remask may return to its own block, so the first mask may lie before what it writes.
            if (block != current) CHECK(ids[k] == before[k]);
          }
          before = ids;
        }
        CHECK(std::count(before.begin(), before.end(), kMask) == 0);
        if (strategy != "threshold") {
          CHECK(seen.ids.size() == static_cast<std::size_t>(steps == 0 ? 7 : steps));
        }
      }
    }
  }
}

TEST_CASE("Blocks of one token write from left to right", "[sampler][cpu]") {
  const MarkovChain chain = uneven_letters();
  MarkovPredictor predictor(chain, 3, false, 2.5);
  const Law law =
      law_of(predictor, masks(3), 3, [](std::int64_t, const std::vector<Drawing>&) -> Choice {
        return {{1.0, {0}}};
      });
  for (const std::string strategy : {"ancestral", "low_confidence", "entropy", "remask"}) {
    const Ids ids = sample_llada(predictor, masks(3 * kMany), 3, chain.excluded(),
                                 in_blocks(with(strategy, 3), 1))
                        .ids;
    CHECK(chi_squared(ids, 3, law) < 79);
  }
}

TEST_CASE("threshold goes on to the next block at once", "[sampler][cpu]") {
  const MarkovChain chain = uneven_letters();
  MarkovPredictor predictor(chain, 6, false);
  SampleOptions options = in_blocks(with("threshold", 0), 2);
  options.of_strategy.threshold = 0;
  const Seen seen = watched(predictor, chain, masks(6), 6, options);
  CHECK(seen.ids.size() == 3);
  CHECK(seen.result.forwards == 3);
}

TEST_CASE("Blocks that cannot be are refused", "[sampler][cpu]") {
  const MarkovChain chain = uneven_letters();
  MarkovPredictor predictor(chain, 6, false);
  const auto sample = [&](std::int64_t length, std::int64_t steps) {
    return sample_llada(predictor, masks(6), 6, chain.excluded(),
                        in_blocks(with("random", steps), length));
  };
  CHECK_THROWS_WITH(sample(-1, 0), Catch::Contains("block length is -1"));
  CHECK_THROWS_WITH(sample(2, 2), Catch::Contains("steps is 2 and 3 blocks"));
  CHECK_THROWS_WITH(sample(0, (1 << 24) + 1),
                    "steps is 16777217: give 1 to 16777216, or 0 for one a mask");
  CHECK_NOTHROW(sample(2, 3));
}

}  // namespace
}  // namespace masque::test
