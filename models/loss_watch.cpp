#include "models/loss_watch.h"

#include <algorithm>
#include <cmath>

namespace masque {
namespace {

constexpr double kWindow = 100;  // looks that the running mean and variance remember

}  // namespace

bool LossWatch::suspicious(double loss) const {
  if (spike_z_ == 0 || learned_ < kLearned) return false;
  return loss > mean_ + spike_z_ * std::sqrt(variance_);
}

void LossWatch::learn(double loss) {
  // The plain mean at first, then exponential (Welford's update with a share that stops falling).
  ++learned_;
  const double share = 1 / std::min(static_cast<double>(learned_), kWindow);
  const double difference = loss - mean_;
  mean_ += share * difference;
  variance_ = (1 - share) * (variance_ + share * difference * difference);
}

LossWatch::Verdict LossWatch::note(std::int64_t step, const StepMetrics& metrics) {
  const std::int64_t steps = step - last_step_, skipped = metrics.skipped - skipped_;
  last_step_ = step;
  skipped_ = metrics.skipped;
  if (skipped == 0) {
    skipped_in_a_row_ = 0;
  } else if (skipped == steps) {
    skipped_in_a_row_ += skipped;
  } else {
    skipped_in_a_row_ = metrics.finite ? 0 : 1;
  }
  if (skipped_in_a_row_ >= kMostSkipped) return Verdict::not_finite;
  if (!metrics.finite || !std::isfinite(metrics.loss)) return Verdict::good;

  if (suspicious(metrics.loss)) {
    return ++suspicious_in_a_row_ >= kSpikeLength ? Verdict::spike : Verdict::good;
  }
  suspicious_in_a_row_ = 0;
  good_step_ = step;
  learn(metrics.loss);
  return Verdict::good;
}

void LossWatch::went_back(std::int64_t step) {
  last_step_ = good_step_ = step;
  skipped_in_a_row_ = suspicious_in_a_row_ = 0;
}

}  // namespace masque
