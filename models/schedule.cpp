#include "models/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace masque {

double learning_rate(const TrainingConfig& config, std::int64_t step) {
  if (step < config.warmup) {
    return config.lr * static_cast<double>(step + 1) / static_cast<double>(config.warmup + 1);
  }
  if (config.schedule == "constant") return config.lr;
  const double span = static_cast<double>(std::max<std::int64_t>(1, config.steps - config.warmup));
  const double progress = std::min(1.0, static_cast<double>(step - config.warmup) / span);
  return config.min_lr +
         0.5 * (1 + std::cos(std::numbers::pi * progress)) * (config.lr - config.min_lr);
}

}  // namespace masque
