// The synthetic source: a unifilar finite-state grammar with a known entropy, exact window
// probabilities and exact conditionals. The yardstick and oracle of the tests, and the text of
// `masque data synth`.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/predictor.h"
#include "models/tokenizer.h"

namespace masque {

// States and characters: in a state each character has a probability, and fixes the next state
// (unifilar). A window is read at a random offset: its first state follows the stationary
// distribution.
class Source {
 public:
  static constexpr std::int64_t kCharacters = 256;  // columns; only ASCII is ever written
  struct Edge {
    char character;
    std::int32_t next;
    double probability;
  };

  Source();  // play dialogue: models/source_grammar.cpp
  // Any other. edges[s] leave state s: different ASCII characters, probabilities in (0, 1] that sum
  // to 1, every state reachable from every other; else Error.
  explicit Source(std::vector<std::vector<Edge>> edges);

  // Text from a state drawn from the stationary distribution, so that it starts anywhere, mid-word
  // too. A longer text of the same seed has a shorter one as its start.
  std::string generate(std::int64_t characters, std::uint64_t seed) const;

  double entropy_rate() const;  // Σ π_s H(next | s), nats a character
  std::size_t states() const { return edges_.size(); }
  const std::vector<std::vector<Edge>>& edges() const { return edges_; }
  const std::vector<double>& stationary() const { return stationary_; }  // (states) π

  // −log P(window); ∞ where the source cannot write it. Scaled forward algorithm.
  double window_nats(std::string_view window) const;
  // (window.size() + 1, 256) log p(x_i = c | x_<i); −∞ where c, or what came before, is impossible.
  std::vector<double> predictions(std::string_view window) const;
  // (positions.size(), 256) log p(x_i = c | known) at each position i, where known[j] is a
  // character or −1 for unknown; rows of −∞ where the source cannot write what is known.
  // Forward–backward.
  std::vector<double> conditionals(std::span<const int> known,
                                   std::span<const std::int64_t> positions) const;
  std::vector<double> conditionals(std::span<const int> known) const;  // at every position

  Tokenizer tokenizer() const;  // of every character it can write

 private:
  struct Move {
    std::int32_t from, to;
    double probability;
  };

  std::span<const Move> moves(int character) const;  // that write it; −1: all
  // One character forwards or backwards through weights of states (states); returns their total.
  double advance(int character, std::span<const double> weights, std::span<double> next) const;
  double retreat(int character, std::span<const double> weights, std::span<double> before) const;

  std::vector<std::vector<Edge>> edges_;                   // by state
  std::vector<Move> moves_;                                // sorted by the character they write
  std::array<std::size_t, kCharacters + 1> first_move_{};  // of each character
  std::vector<double> stationary_;
};

// The grammar of play dialogue, for Source.
std::vector<std::vector<Source::Edge>> dialogue_grammar();

// The source behind Predictor: masked diffusion (masks stand for unknown characters) or
// autoregressive ([START] x_1 … x_{L−1}, or without [START]). Logits are log-probabilities,
// −1e300 where impossible; all characters alike where the known ones are impossible together.
class Oracle : public Predictor {
 public:
  // `source` must outlive the oracle.
  Oracle(const Source& source, const Tokenizer& tokenizer, std::int64_t context, bool causal);
  std::int64_t vocab_size() const override { return tokenizer_.vocab_size(); }
  std::int64_t context() const override { return context_; }
  void predict(const PredictorInput& input, std::span<double> logits) override;

 private:
  int character_of(std::int32_t id) const;
  // (positions.size(), 256) of one sequence
  std::vector<double> log_probabilities(std::span<const std::int32_t> ids,
                                        std::span<const std::int64_t> positions) const;
  // (256) to (V)
  void write_logits(std::span<const double> log_probabilities, std::span<double> logits) const;

  const Source& source_;
  Tokenizer tokenizer_;
  std::int64_t context_;
  bool causal_;
};

}  // namespace masque
