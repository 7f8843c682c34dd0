// The smallest model that trains, for tests of what surrounds a training: one layer, one head,
// width and context 8, two rows a step. vocab_size is left open.
#pragma once

#include "models/config.h"

namespace masque::test {

inline RunConfig smallest_config(ObjectiveKind objective) {
  RunConfig config;
  config.model.objective = objective;
  config.model.context = 8;
  config.model.layers = 1;
  config.model.heads = 1;
  config.model.width = 8;
  config.training.batch = 2;
  return config;
}

}  // namespace masque::test
