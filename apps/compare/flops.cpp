#include "apps/compare/flops.h"

namespace masque {

const char* const kFlopsConvention =
    "Forward and backward of a token read: 6 for each weight of a matrix that multiplies it, the "
    "head included, and 12·T·C a layer for attention, half of that where it is causal.";

double training_flops_per_token(const ModelConfig& model) {
  const auto C = static_cast<double>(model.width), T = static_cast<double>(model.context);
  const auto mlp = static_cast<double>(model.mlp_width);
  const auto layers = static_cast<double>(model.layers);
  const double up = model.mlp == "swiglu" ? 2 : 1;
  const double matrices =
      layers * (4 * C * C + (up + 1) * C * mlp) + C * static_cast<double>(model.vocab_size);
  const double attention = 12 * T * C * layers * (model.objective == ObjectiveKind::ar ? 0.5 : 1);
  return 6 * matrices + attention;
}

}  // namespace masque
