// A network small enough to generate with on an emulated device, its weights far from where
// training begins, so that its logits tell tokens and positions apart.
#pragma once

#include <algorithm>
#include <limits>
#include <random>
#include <vector>

#include "models/config.h"
#include "models/network.h"
#include "models/tokenizer.h"

namespace masque::test {

class TinyNetwork {
 public:
  static constexpr std::int64_t kVocabulary = 23, kContext = 9;

  TinyNetwork(ObjectiveKind objective, const Device& device)
      : transformer_(config(objective), device), network_(transformer_) {
    transformer_.initialise(1);
    std::mt19937 generator(5);
    std::normal_distribution<double> normal(0, 0.4);
    for (const Parameter& parameter : transformer_.parameters().parameters()) {
      std::vector<double> values = transformer_.parameters().read(parameter);
      for (double& value : values) value += normal(generator);
      transformer_.parameters().write(parameter, values);
    }
  }

  Network& network() { return network_; }

  // From here on every logit is NaN.
  void diverge() {
    const Parameter& weights = transformer_.parameters().parameters().front();
    std::vector<double> values = transformer_.parameters().read(weights);
    for (double& value : values) value = std::numeric_limits<double>::quiet_NaN();
    transformer_.parameters().write(weights, values);
  }

  static std::vector<std::uint8_t> excluded() {
    std::vector<std::uint8_t> flags(kVocabulary);
    std::fill_n(flags.begin(), Tokenizer::kSpecials, std::uint8_t{1});
    return flags;
  }

 private:
  static ModelConfig config(ObjectiveKind objective) {
    RunConfig config;
    config.model.objective = objective;
    config.model.vocab_size = kVocabulary;
    config.model.context = kContext;
    config.model.layers = 1;
    config.model.heads = 1;
    config.model.width = 16;
    config.model.mlp_width = 24;
    return resolve(config).model;
  }

  Transformer transformer_;
  Network network_;
};

}  // namespace masque::test
