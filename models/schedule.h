// The learning rate of a step: linear warm-up, then constant or a cosine that reaches min_lr as the
// last step ends.
#pragma once

#include <cstdint>

#include "models/config.h"

namespace masque {

// step counts updates from 0. Loshchilov and Hutter 2016, arXiv:1608.03983 (one cosine, no
// restarts)
double learning_rate(const TrainingConfig& config, std::int64_t step);

}  // namespace masque
