// What samplers and likelihoods see of a model: token ids in, logits out. Network implements it
// with a trained transformer, Oracle (models/source.h) with the exact conditionals of a known
// source.
#pragma once

#include <cstdint>
#include <span>

namespace masque {

// A batch of B sequences of T token ids.
// A masked diffusion predictor reads masked sequences and answers, at position i, for token i.
// An autoregressive one reads [START] x_1 … x_{T−1} and answers, at position i, for token x_{i+1}
// given the ids up to i.
struct PredictorInput {
  std::span<const std::int32_t> ids;      // (B,T)
  std::span<const std::int32_t> lengths;  // (B) real tokens of each row; empty: all T
  std::int64_t B = 0;
  std::int64_t T = 0;
  std::span<const std::int64_t> rows;  // flat positions b·T + i whose logits are wanted
};

class Predictor {
 public:
  virtual ~Predictor() = default;
  virtual std::int64_t vocab_size() const = 0;
  virtual std::int64_t context() const = 0;  // longest T

  // Writes logits (rows.size(), vocab_size()). Unnormalised; entries that can never be produced
  // (special tokens) are the caller's to exclude.
  virtual void predict(const PredictorInput& input, std::span<double> logits) = 0;
};

}  // namespace masque
