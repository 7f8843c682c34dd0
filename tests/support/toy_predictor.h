// Predictors whose every conditional is known, for tests of likelihoods and samplers.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/predictor.h"

namespace masque::test {

// A Markov chain over letters 0 … K − 1, which are tokens kSpecials … kSpecials + K − 1.
class MarkovChain {
 public:
  MarkovChain(std::vector<double> initial, std::vector<std::vector<double>> transition)
      : initial_(std::move(initial)), transition_(std::move(transition)) {}

  std::int64_t letters() const { return static_cast<std::int64_t>(initial_.size()); }
  // −log P(window).
  double nats(std::span<const std::int32_t> tokens) const;
  std::vector<std::int32_t> generate(std::int64_t count, std::uint64_t seed) const;
  // p(x_i = letter | tokens that are not [MASK]), (T,K): forward–backward.
  std::vector<double> conditionals(std::span<const std::int32_t> tokens) const;
  std::vector<std::uint8_t> excluded() const;  // the special tokens

 private:
  std::vector<double> initial_;                  // (K)
  std::vector<std::vector<double>> transition_;  // (K,K)
};

// Letters that do not depend on each other.
MarkovChain independent_letters(const std::vector<double>& probabilities);
// ABAB… or BABA…, each with probability one half.
MarkovChain alternating_letters();
// Three letters, every transition possible, none alike.
MarkovChain uneven_letters();

// The chain behind Predictor. Special tokens get the largest logits of all, to show whether they
// are excluded. `error` adds a fixed wrong amount to every logit that depends on the whole input,
// so that the model is not any chain's and the order of its predictions matters.
class MarkovPredictor : public Predictor {
 public:
  MarkovPredictor(MarkovChain chain, std::int64_t context, bool causal, double error = 0)
      : chain_(std::move(chain)), context_(context), causal_(causal), error_(error) {}
  std::int64_t vocab_size() const override;
  std::int64_t context() const override { return context_; }
  void predict(const PredictorInput& input, std::span<double> logits) override;

  std::int64_t forwards = 0, largest_batch = 0;

 private:
  MarkovChain chain_;
  std::int64_t context_;
  bool causal_;
  double error_;
};

}  // namespace masque::test
