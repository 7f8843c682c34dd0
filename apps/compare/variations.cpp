#include "apps/compare/variations.h"

#include <nlohmann/json.hpp>

namespace masque {

const std::vector<TrialSetting>& trial_settings() {
  static const std::vector<TrialSetting> settings = {
      {"as the preset", {}},
      {"rate 2e-3", {"lr=2e-3", "min_lr=2e-4"}},
      {"dropout 0.1", {"dropout=0.1"}},
      {"rate 2e-3, dropout 0.1", {"lr=2e-3", "min_lr=2e-4", "dropout=0.1"}},
      {"dropout 0.2", {"dropout=0.2"}},
      {"rate 2e-3, dropout 0.2", {"lr=2e-3", "min_lr=2e-4", "dropout=0.2"}},
      {"rate 4e-3", {"lr=4e-3", "min_lr=4e-4"}},
      {"weight decay 0.3", {"weight_decay=0.3"}},
  };
  return settings;
}

const std::vector<Variation>& ablations() {
  constexpr ObjectiveKind kLlada = ObjectiveKind::llada, kAr = ObjectiveKind::ar;
  static const std::vector<Variation> variations = {
      {kLlada, "t", "iid", "one t a sequence, independent", {"t_sampling=iid"}},
      {kLlada, "t", "batch", "one t a batch", {"t_sampling=batch"}},
      {kLlada, "weighting", "none", "no weight 1/t", {"weighting=none"}},
      {kLlada, "epsilon", "large", "ε = 0.1", {"epsilon=0.1"}},
      {kLlada, "ema", "0.99", "EMA of weights, 0.99", {"ema=0.99"}, "ema"},
      {kLlada, "dropout", "0", "dropout 0", {"dropout=0"}},
      {kLlada, "dropout", "0.1", "dropout 0.1", {"dropout=0.1"}},
      {kLlada,
       "block",
       "gpt2",
       "GPT-2's block: layernorm, GELU, learned positions",
       {"norm=layernorm", "mlp=gelu_tanh", "mlp_width=0", "position=learned"}},
      {kAr, "dropout", "0", "dropout 0", {"dropout=0"}},
      {kAr, "dropout", "0.1", "dropout 0.1", {"dropout=0.1"}},
      {kAr, "dropout", "0.2", "dropout 0.2", {"dropout=0.2"}},
      {kAr, "decay", "0.3", "weight decay 0.3", {"weight_decay=0.3"}},
      {kAr, "input_masking", "0.15", "15% of inputs masked", {"input_masking=0.15"}},
      {kAr,
       "block",
       "gpt2",
       "GPT-2's block: layernorm, GELU, learned positions",
       {"norm=layernorm", "mlp=gelu_tanh", "mlp_width=0", "position=learned"}},
  };
  return variations;
}

const std::vector<Variation>& study_arms() {
  constexpr ObjectiveKind kLlada = ObjectiveKind::llada, kAr = ObjectiveKind::ar;
  static const std::vector<Variation> arms = {
      {kLlada, "LLaDA", "llada", "as the preset", {}},
      {kAr, "AR", "ar", "as the preset", {}},
      {kAr, "AR regularised", "ar-d1", "dropout 0.1", {"dropout=0.1"}},
      {kAr, "AR regularised", "ar-d3", "dropout 0.3", {"dropout=0.3"}},
      {kAr, "AR regularised", "ar-w1", "weight decay 1", {"weight_decay=1"}},
      {kAr,
       "AR regularised",
       "ar-d2w1",
       "dropout 0.2, weight decay 1",
       {"dropout=0.2", "weight_decay=1"}},
      {kAr, "AR masked inputs", "ar-m15", "15% of inputs masked", {"input_masking=0.15"}},
      {kAr, "AR masked inputs", "ar-m30", "30% of inputs masked", {"input_masking=0.3"}},
  };
  return arms;
}

bool changes(const Variation& variation, const RunConfig& base) {
  RunConfig changed = base;
  for (const std::string& assignment : variation.set) set_key(changed, assignment);
  return to_json(resolve(changed)) != to_json(base);
}

}  // namespace masque
