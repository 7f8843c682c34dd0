// How long a training step takes here, and so a run.
#pragma once

#include <cstdint>

#include "models/trainer.h"

namespace masque {

// Measured over about a second of a run's own steps, after two that find out how much memory is
// needed and touch it.
class StepTime {
 public:
  void note(double seconds);  // of a step, the device's part of it too
  bool known() const { return timed_seconds_ >= kTimedSeconds; }
  double seconds() const;  // a step, of those so far

 private:
  static constexpr double kTimedSeconds = 1;
  static constexpr std::int64_t kWarmup = 2;
  std::int64_t steps_ = 0;
  double timed_seconds_ = 0;  // of all steps but the first two
};

// Of a trainer's next steps; of fewer where it has no more.
double seconds_per_step(Trainer& trainer);

// What `steps` more steps take with their evaluations, of which a token costs a third of a trained
// one: a forward without its backward.
double run_seconds(const RunConfig& config, std::int64_t steps, double seconds_per_step);

}  // namespace masque
