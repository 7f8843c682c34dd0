#include "models/dataset.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "kernels/backend.h"
#include "models/config.h"
#include "models/tokenizer.h"
#include "tests/support/catch.h"

using Catch::Matchers::Contains;

namespace masque {
namespace {

// first, first + 1, …
std::vector<std::int32_t> ramp(std::int64_t count, std::int32_t first = 10) {
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(count));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

TEST_CASE("splits cut in order by fraction", "[cpu]") {
  const auto tokens = ramp(103);
  const Splits splits = split_tokens(tokens, 0.8, 0.1);
  CHECK(splits.train == ramp(82));
  CHECK(splits.val == ramp(10, 92));
  CHECK(splits.test == ramp(11, 102));
  const Splits nanogpt = split_tokens(tokens, 0.9, 0.1);
  CHECK(nanogpt.train.size() == 92);
  CHECK(nanogpt.val.size() == 11);
  CHECK(nanogpt.test.empty());
  TrainingConfig training;
  training.data_fraction = 0.5;
  CHECK(split_tokens(tokens, training).train == ramp(41));
  CHECK(split_tokens(tokens, training).val == splits.val);
  CHECK(split_tokens(tokens, training).test == splits.test);
  // 10·(0.7 + 0.1) is 7.999… in binary.
  CHECK(split_tokens(ramp(10), 0.7, 0.1).val.size() == 1);
  for (const auto& fractions : std::vector<std::pair<double, double>>{
           {0, 0.5}, {-0.1, 0.5}, {0.8, 0.3}, {0.8, -0.1}, {1.1, 0}, {NAN, 0.1}, {0.5, NAN}}) {
    CHECK_THROWS_AS(split_tokens(tokens, fractions.first, fractions.second), InputError);
  }
  CHECK_THROWS_WITH(split_tokens(tokens, 0.8, 0.3), Contains("0.8 and val fraction 0.3"));
}

TEST_CASE("windows score every token exactly once", "[cpu]") {
  for (const std::int64_t count : {1, 2, 7, 8, 9, 15, 16, 17, 100}) {
    for (std::int64_t length = 1; length <= count; ++length) {
      std::vector<int> scored(static_cast<std::size_t>(count), 0);
      for (const Window& window : cover(count, length)) {
        REQUIRE(window.length == length);
        REQUIRE(window.begin >= 0);
        REQUIRE(window.begin + length <= count);
        for (std::int64_t i = window.scored_from; i < length; ++i) {
          ++scored[static_cast<std::size_t>(window.begin + i)];
        }
      }
      REQUIRE(std::all_of(scored.begin(), scored.end(), [](int times) { return times == 1; }));
    }
  }
  CHECK_THROWS_AS(cover(7, 8), InputError);
  CHECK_THROWS_WITH(cover(7, 8), Contains("7 tokens") && Contains("window of 8"));
  CHECK_THROWS_AS(cover(7, 0), InputError);
}

TEST_CASE("a subset of windows is even and fixed", "[cpu]") {
  const auto windows = cover(1000, 10);
  CHECK(subset(windows, 0).size() == 100);
  CHECK(subset(windows, 100).size() == 100);
  CHECK(subset(windows, 200).size() == 100);
  for (std::int64_t limit = 1; limit < 100; ++limit) {
    const auto chosen = subset(windows, limit);
    REQUIRE(static_cast<std::int64_t>(chosen.size()) == limit);
    std::int64_t before = -10;
    for (const Window& window : chosen) {
      REQUIRE(window.begin > before);
      before = window.begin;
    }
  }
  CHECK(subset(windows, 4)[0].begin == 120);
  CHECK(subset(windows, 4)[3].begin == 870);
}

TEST_CASE("permuted is a bijection of every count", "[cpu]") {
  std::vector<std::int64_t> counts(130);
  std::iota(counts.begin(), counts.end(), 1);
  counts.insert(counts.end(), {255, 256, 257, 1000, 4096, 4097});
  for (const std::int64_t count : counts) {
    for (std::uint32_t epoch = 0; epoch < 4; ++epoch) {
      std::vector<bool> seen(static_cast<std::size_t>(count), false);
      for (std::int64_t index = 0; index < count; ++index) {
        const std::int64_t value = permuted(index, count, 17, epoch);
        REQUIRE(value >= 0);
        REQUIRE(value < count);
        seen[static_cast<std::size_t>(value)] = true;
      }
      REQUIRE(std::all_of(seen.begin(), seen.end(), [](bool hit) { return hit; }));
    }
  }
  CHECK_THROWS_WITH(permuted(5, 5, 1, 0), Contains("5 must be in [0, 5)"));
}

TEST_CASE("permuted depends on seed and epoch and spreads evenly", "[cpu]") {
  const auto order = [](std::uint64_t seed, std::uint32_t epoch) {
    std::vector<std::int64_t> values;
    for (std::int64_t index = 0; index < 100; ++index) {
      values.push_back(permuted(index, 100, seed, epoch));
    }
    return values;
  };
  CHECK(order(1, 0) == order(1, 0));
  CHECK(order(1, 0) != order(1, 1));
  CHECK(order(1, 0) != order(2, 0));
  // Where element 0 goes: χ² of 19 degrees of freedom over 4000 keys, 45 is past its 99.9% point.
  std::vector<double> hits(20, 0);
  for (std::uint32_t epoch = 0; epoch < 4000; ++epoch) {
    ++hits[static_cast<std::size_t>(permuted(0, 20, 3, epoch))];
  }
  double chi_squared = 0;
  for (const double hit : hits) chi_squared += (hit - 200) * (hit - 200) / 200;
  CHECK(chi_squared < 45);
}

TEST_CASE("strided sequences: every start once an epoch, the last padded", "[cpu]") {
  const auto tokens = ramp(22);
  for (const std::int64_t stride : {1, 3, 8, 11}) {
    const Sequences sequences(tokens, 8, stride, 5);
    for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
      std::set<std::int32_t> starts;
      std::set<std::int32_t> covered;
      for (std::int64_t i = 0; i < sequences.count(); ++i) {
        std::vector<std::int32_t> row(8, -1);
        const std::int64_t real = sequences.read(epoch * sequences.count() + i, row.data());
        REQUIRE(real >= 1);
        REQUIRE((row[0] - 10) % stride == 0);
        starts.insert(row[0]);
        for (std::int64_t at = 0; at < 8; ++at) {
          const auto token = row[static_cast<std::size_t>(at)];
          REQUIRE(token == (at < real ? row[0] + at : Tokenizer::kPad));
        }
        REQUIRE(real == std::min<std::int64_t>(8, 32 - row[0]));
        covered.insert(row.begin(), row.begin() + real);
      }
      CHECK(static_cast<std::int64_t>(starts.size()) == sequences.count());
      CHECK(covered.size() == (stride <= 8 ? 22 : 16));
    }
  }
  CHECK(Sequences(tokens, 8, 8, 5).count() == 3);
  CHECK(Sequences(tokens, 22, 22, 5).count() == 1);
  CHECK(Sequences(tokens, 8, 7, 5).count() == 3);
  CHECK(Sequences(tokens, 8, 22, 5).count() == 1);
}

TEST_CASE("epochs differ in order and seeds in epochs", "[cpu]") {
  const auto tokens = ramp(400);
  const auto order = [&](std::uint64_t seed, std::int64_t first) {
    const Sequences sequences(tokens, 8, 8, seed);
    std::vector<std::int32_t> starts(50), row(8);
    for (std::int64_t i = 0; i < 50; ++i) {
      sequences.read(first + i, row.data());
      starts[static_cast<std::size_t>(i)] = row[0];
    }
    return starts;
  };
  CHECK(order(1, 0) == order(1, 0));
  CHECK(order(1, 0) != order(1, 50));
  CHECK(order(1, 0) != order(2, 0));
}

TEST_CASE("random crops are full, cover all offsets and repeat by index", "[cpu]") {
  const auto tokens = ramp(20);
  const Sequences crops(tokens, 8, 0, 9);
  CHECK(crops.count() == 3);
  std::map<std::int32_t, int> starts;
  std::vector<std::int32_t> row(8), again(8);
  for (std::int64_t i = 0; i < 1300; ++i) {
    REQUIRE(crops.read(i, row.data()) == 8);
    REQUIRE(row == ramp(8, row[0]));
    ++starts[row[0]];
  }
  CHECK(starts.size() == 13);
  for (const auto& start : starts) CHECK(start.second > 50);
  crops.read(7, row.data());
  Sequences(tokens, 8, 0, 9).read(7, again.data());
  CHECK(row == again);
}

TEST_CASE("sequences refuse a text shorter than a window", "[cpu]") {
  const auto tokens = ramp(7);
  CHECK_THROWS_AS(Sequences(tokens, 8, 8, 1), InputError);
  CHECK_THROWS_WITH(Sequences(tokens, 8, 0, 1), Contains("7 tokens") && Contains("window of 8"));
  CHECK_THROWS_WITH(Sequences(tokens, 4, -2, 1), Contains("stride -2"));
  CHECK_THROWS_AS(Sequences(tokens, 0, 1, 1), InputError);
  CHECK(Sequences(tokens, 7, 0, 1).count() == 1);
}

TEST_CASE("splits too short for a sequence are refused with numbers and a mend", "[cpu]") {
  TrainingConfig training;
  const auto reason = [&](std::int64_t tokens, std::int64_t length, bool and_test = false) {
    try {
      require_sequences(split_tokens(ramp(tokens), training), training, length, and_test);
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  CHECK(reason(1280, 128) == "accepted");
  CHECK(reason(1270, 128) ==
        "the val split has 127 tokens, fewer than one sequence of 128: give a text of at least "
        "1280 tokens, or shorter sequences by --preset or --set context=64");
  CHECK(reason(20, 16) ==
        "the val split has 2 tokens, fewer than one sequence of 16: give a text of at least 160 "
        "tokens");
  training.val_fraction = 0;
  CHECK(reason(20, 16) == "accepted");
  CHECK_THAT(reason(20, 16, true),
             Contains("the test split has 4 tokens") && Contains("at least 80 tokens"));
  training.data_fraction = 0.5;
  CHECK_THAT(reason(20, 16),
             Contains("the train split has 8 tokens") && Contains("at least 40 tokens"));
  training.train_fraction = 1;
  CHECK_THAT(reason(40, 16, true), Contains("the test split has 0 tokens") &&
                                       Contains("lower train_fraction or val_fraction"));
}

}  // namespace
}  // namespace masque
