// The synthetic source: a unifilar finite-state grammar of play dialogue with a known entropy,
// exact window probabilities and exact conditionals. The yardstick and oracle of the tests, and the
// text of `masque data synth`.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/predictor.h"
#include "models/tokenizer.h"

namespace masque {

// States and characters: in a state each character has a probability, and fixes the next state
// (unifilar).
class Source {
 public:
  struct Edge {
    char character;
    std::int32_t next;
    double probability;
  };

  Source();  // the embedded grammar
  explicit Source(
      std::vector<std::vector<Edge>> edges);  // any: of each state, probabilities summing to 1

  std::string generate(std::int64_t characters, std::uint64_t seed) const;
  double entropy_rate() const;  // Σ π_s H(next | s), nats a character
  const std::vector<double>& stationary() const { return stationary_; }
  std::size_t states() const { return edges_.size(); }

  // −log P(window) at a random offset of the source: forward algorithm from the stationary
  // distribution.
  double window_nats(std::string_view window) const;
  // log p(next | window), of the 256 characters (−∞ where impossible).
  // log p(x_i = c | known), where known[i] is a character or −1: (T,256), forward–backward.
  std::vector<double> conditionals(std::span<const int> known) const;
  Tokenizer tokenizer() const;  // of every character it can write

 private:
  void finish();
  std::vector<std::vector<Edge>> edges_;
  std::vector<double> stationary_;
};

// The source behind Predictor: masked diffusion (masks stand for unknown characters) or
// autoregressive (reads [START] x_1 …). Logits are log-probabilities; −1e300 where impossible.
class Oracle : public Predictor {
 public:
  Oracle(const Source& source, const Tokenizer& tokenizer, std::int64_t context, bool causal);
  std::int64_t vocab_size() const override;
  std::int64_t context() const override { return context_; }
  void predict(const PredictorInput& input, std::span<double> logits) override;

 private:
  const Source& source_;
  Tokenizer tokenizer_;
  std::int64_t context_;
  bool causal_;
};

}  // namespace masque
