#include "models/intervals.h"

#include <cmath>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/toy_predictor.h"

namespace masque::test {
namespace {

TEST_CASE("A bootstrap interval covers the mean of independent windows", "[likelihood][cpu]") {
  // Blocks of 32 leave few of them, which narrows the interval: 200 windows, so about 6 blocks.
  const MarkovChain chain = independent_letters({0.5, 0.5});
  int covered = 0;
  constexpr int kTexts = 300;
  const std::vector<std::int64_t> ones(200, 1);
  for (int text = 0; text < kTexts; ++text) {
    const auto tokens = chain.generate(200, static_cast<std::uint64_t>(1000 + text));
    std::vector<double> values(tokens.begin(), tokens.end());
    const Interval interval = moving_block_bootstrap(values, ones, 1);
    covered += interval.lo <= 4.5 && 4.5 <= interval.hi ? 1 : 0;
  }
  CHECK(covered >= kTexts * 85 / 100);
  CHECK(covered <= kTexts * 98 / 100);
}

TEST_CASE("Intervals of one window are unknown, of equal windows empty", "[likelihood][cpu]") {
  const Interval one =
      moving_block_bootstrap(std::vector<double>{3}, std::vector<std::int64_t>{2}, 1);
  CHECK(std::isnan(one.lo));
  CHECK(std::isnan(one.hi));
  const Interval equal =
      moving_block_bootstrap(std::vector<double>{3, 6, 9}, std::vector<std::int64_t>{1, 2, 3}, 1);
  CHECK(equal.lo == Approx(3));
  CHECK(equal.hi == Approx(3));
}

TEST_CASE("Student's t agrees with tables", "[likelihood][cpu]") {
  CHECK(student_t(1) == Approx(12.7062).epsilon(1e-4));
  CHECK(student_t(4) == Approx(2.77645).epsilon(1e-4));
  CHECK(student_t(7) == Approx(2.36462).epsilon(1e-4));
  CHECK(student_t(10) == Approx(2.22814).epsilon(1e-4));
  CHECK(student_t(30) == Approx(2.04227).epsilon(1e-4));
  CHECK(student_t(100000) == Approx(1.95999).epsilon(1e-4));
}

}  // namespace
}  // namespace masque::test
