#include "models/loss_watch.h"

#include <cmath>
#include <limits>

#include "tests/support/catch.h"

namespace masque {
namespace {

using Verdict = LossWatch::Verdict;

// A training seen through its metrics.
class Watched {
 public:
  explicit Watched(double spike_z) : watch(spike_z) {}

  Verdict good(double loss, std::int64_t steps = 1) { return look(loss, true, 0, steps); }
  Verdict skipped(std::int64_t skipped, std::int64_t steps) {
    return look(std::numeric_limits<double>::quiet_NaN(), false, skipped, steps);
  }
  Verdict look(double loss, bool finite, std::int64_t skipped, std::int64_t steps) {
    step += steps;
    total += skipped;
    StepMetrics metrics;
    metrics.loss = loss;
    metrics.finite = finite;
    metrics.skipped = total;
    return watch.note(step, metrics);
  }
  // A loss around 2 whose standard deviation is 0.1.
  void learn(std::int64_t looks) {
    for (std::int64_t k = 0; k < looks; ++k) {
      REQUIRE(good(k % 2 == 0 ? 1.9 : 2.1) == Verdict::good);
    }
  }

  LossWatch watch;
  std::int64_t step = 0, total = 0;
};

TEST_CASE("ten updates skipped in a row are too many, nine are not", "[cpu]") {
  Watched run(0);
  run.learn(20);
  for (int k = 0; k < 9; ++k) CHECK(run.skipped(1, 1) == Verdict::good);
  CHECK(run.good(2) == Verdict::good);  // one that works: counted anew
  for (int k = 0; k < 9; ++k) CHECK(run.skipped(1, 1) == Verdict::good);
  CHECK(run.skipped(1, 1) == Verdict::not_finite);
  CHECK(run.watch.good_step() == 30);
  run.watch.went_back(25);
  run.step = 25;
  CHECK(run.watch.good_step() == 25);
  for (int k = 0; k < 9; ++k) CHECK(run.skipped(1, 1) == Verdict::good);
  CHECK(run.skipped(1, 1) == Verdict::not_finite);
}

TEST_CASE("skipped updates are counted where only every tenth step is looked at", "[cpu]") {
  Watched run(0);
  run.good(2, 10);
  CHECK(run.skipped(10, 10) == Verdict::not_finite);
  Watched mixed(0);
  mixed.good(2, 10);
  CHECK(mixed.skipped(7, 10) == Verdict::good);  // the last of ten, and six before it somewhere
  CHECK(mixed.skipped(10, 10) == Verdict::not_finite);
  Watched recovered(0);
  recovered.good(2, 10);
  CHECK(recovered.look(2, true, 9, 10) == Verdict::good);
  CHECK(recovered.skipped(9, 9) == Verdict::good);
}

TEST_CASE("a loss that leaves where it was is a spike; one outlier is none", "[cpu]") {
  Watched run(6);
  run.learn(200);
  CHECK(run.watch.mean() == Approx(2).margin(0.02));
  CHECK(run.good(2.55) == Verdict::good);  // 5.5 standard deviations: not even suspicious
  CHECK(run.watch.good_step() == 201);
  run.learn(200);
  for (int k = 0; k < 4; ++k) CHECK(run.good(3) == Verdict::good);
  CHECK(run.watch.good_step() == 401);  // what is suspicious is not good yet
  CHECK(run.good(2) == Verdict::good);
  CHECK(run.watch.good_step() == 406);
  for (int k = 0; k < 4; ++k) CHECK(run.good(3) == Verdict::good);
  CHECK(run.good(3) == Verdict::spike);
  CHECK(run.watch.mean() == Approx(2).margin(0.05));  // a spike teaches nothing
}

TEST_CASE("a falling loss is never a spike, nor is one before the watch has learned", "[cpu]") {
  Watched early(6);
  early.learn(20);
  for (int k = 0; k < 10; ++k) CHECK(early.good(9) == Verdict::good);
  Watched falling(6);
  for (int k = 0; k < 500; ++k) {
    CHECK(falling.good(4 * std::exp(-k / 100.0) + 0.05 * std::sin(12.9 * k)) == Verdict::good);
  }
  Watched off(0);
  off.learn(100);
  for (int k = 0; k < 10; ++k) CHECK(off.good(50) == Verdict::good);
}

}  // namespace
}  // namespace masque
