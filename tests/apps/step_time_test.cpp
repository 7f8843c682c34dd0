#include "apps/step_time.h"

#include "tests/support/catch.h"

namespace masque::test {
namespace {

TEST_CASE("a step is timed over a second, the first two left out", "[cpu]") {
  StepTime time;
  time.note(100);
  time.note(50);
  CHECK_FALSE(time.known());
  CHECK(time.seconds() == 0);
  time.note(0.25);
  CHECK(time.seconds() == 0.25);
  time.note(0.5);
  CHECK_FALSE(time.known());
  time.note(0.75);
  CHECK(time.known());
  CHECK(time.seconds() == 0.5);
}

TEST_CASE("a run takes its steps and its evaluations", "[cpu]") {
  RunConfig config;
  config.model.objective = ObjectiveKind::ar;
  config.model.context = 100;
  config.training.batch = 10;
  config.training.accumulation = 3;  // 3000 tokens a step
  config.training.eval_every = 50;
  config.training.eval_windows = 45;  // 4500 tokens of each split: a step's time together
  config.data.tokens = 1'000'000;
  CHECK(run_seconds(config, 100, 2) == Approx(2 * (100 + 2)));
  CHECK(run_seconds(config, 101, 2) == Approx(2 * (101 + 3)));  // and one at the end
  config.training.ema = 0.9;
  CHECK(run_seconds(config, 100, 2) == Approx(2 * (100 + 3)));
  config.training.val_fraction = 0;
  CHECK(run_seconds(config, 100, 2) == Approx(2 * (100 + 1)));
  config.model.objective = ObjectiveKind::llada;
  config.training.eval_draws = 8;
  CHECK(run_seconds(config, 100, 2) == Approx(2 * (100 + 8)));
  config.training.eval_windows = 0;
  config.training.train_fraction = 0.009;
  CHECK(run_seconds(config, 100, 2) == Approx(2 * (100 + 16)));
}

}  // namespace
}  // namespace masque::test
