#include "apps/step_time.h"

#include <algorithm>

#include "apps/common.h"
#include "models/memory_plan.h"

namespace masque {
namespace {

constexpr double kForwardShare = 1.0 / 3;  // of a step: forward, and a backward of twice the work

// Tokens that an evaluation reads of a split that is `share` of the text.
double evaluated_tokens(const RunConfig& config, double share) {
  const bool ar = config.model.objective == ObjectiveKind::ar;
  return static_cast<double>(evaluation_window_count(config, share) * config.model.context) *
         (ar ? 1 : static_cast<double>(config.training.eval_draws));
}

}  // namespace

void StepTime::note(double seconds) {
  if (steps_++ >= kWarmup) timed_seconds_ += seconds;
}

double StepTime::seconds() const {
  return timed_seconds_ / static_cast<double>(std::max<std::int64_t>(1, steps_ - kWarmup));
}

double seconds_per_step(Trainer& trainer) {
  StepTime time;
  double seconds = 0;
  while (!time.known() && trainer.steps_done() < trainer.steps()) {
    const double start = running_seconds();
    trainer.step();
    trainer.metrics();  // waits
    seconds = running_seconds() - start;
    time.note(seconds);
  }
  return time.seconds() > 0 ? time.seconds() : seconds;
}

double run_seconds(const RunConfig& config, std::int64_t steps, double seconds_per_step) {
  const TrainingConfig& training = config.training;
  const double step_tokens =
      static_cast<double>(training.batch * training.accumulation * config.model.context);
  const double times = training.ema > 0 ? 2 : 1;  // of val: the averaged weights beside
  const double evaluation =
      evaluated_tokens(config, training.train_fraction * training.data_fraction) +
      times * evaluated_tokens(config, training.val_fraction);
  const auto evaluations =
      static_cast<double>((steps + training.eval_every - 1) / training.eval_every);
  return seconds_per_step *
         (static_cast<double>(steps) + evaluations * kForwardShare * evaluation / step_tokens);
}

}  // namespace masque
