#include "apps/step_time.h"

#include <algorithm>
#include <chrono>

namespace masque {
namespace {

constexpr std::int64_t kWarmup = 2;
constexpr double kTimedSeconds = 1;

}  // namespace

double seconds_per_step(Trainer& trainer) {
  const std::int64_t steps = trainer.steps();
  while (trainer.steps_done() < std::min(kWarmup, steps - 1)) trainer.step();
  trainer.metrics();
  const auto start = std::chrono::steady_clock::now();
  double seconds = 0;
  int timed = 0;
  do {
    trainer.step();
    ++timed;
    trainer.metrics();  // waits
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  } while (seconds < kTimedSeconds && trainer.steps_done() < steps);
  return seconds / timed;
}

std::optional<double> StepClock::note(double seconds, bool waited) {
  if (told_ || ++steps_ <= kWarmup) return std::nullopt;
  seconds_ += seconds;
  if (!waited || seconds_ < kTimedSeconds) return std::nullopt;
  told_ = true;
  return seconds_ / static_cast<double>(steps_ - kWarmup);
}

}  // namespace masque
