// Watches a training for numbers that go wrong for good: updates skipped one after another because
// the gradient is not finite, and a loss that has left where it was (a spike: PaLM,
// arXiv:2204.02311, section 5.1, which also says what helps: go back, and on to other data).
#pragma once

#include <cstdint>

#include "models/trainer.h"

namespace masque {

class LossWatch {
 public:
  enum class Verdict { good, not_finite, spike };

  static constexpr std::int64_t kMostSkipped = 10;  // updates in a row
  static constexpr std::int64_t kSpikeLength = 5;   // looks in a row
  static constexpr std::int64_t kLearned = 50;      // looks before a spike can be told

  // spike_z: a loss this many standard deviations above its running mean is suspicious; 0: none is.
  explicit LossWatch(double spike_z) : spike_z_(spike_z) {}

  // A look at a step's metrics: every step, or now and then where a GPU is not waited for.
  Verdict note(std::int64_t step, const StepMetrics& metrics);
  // The last step at which all was well: what was saved up to then is good.
  std::int64_t good_step() const { return good_step_; }
  double mean() const { return mean_; }
  // After going back to a checkpoint at `step`.
  void went_back(std::int64_t step);

 private:
  bool suspicious(double loss) const;
  void learn(double loss);

  double spike_z_;
  double mean_ = 0, variance_ = 0;  // of the loss, running
  std::int64_t learned_ = 0;
  std::int64_t good_step_ = 0, last_step_ = 0;
  std::int64_t skipped_ = 0, skipped_in_a_row_ = 0, suspicious_in_a_row_ = 0;
};

}  // namespace masque
