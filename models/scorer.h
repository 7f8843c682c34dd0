// A batch of questions to a predictor, "how probable is this token at this position", answered in
// one forward. What every likelihood estimator is made of.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "models/predictor.h"

namespace masque {

// The model answers NaN.
class NotFinite : public Error {
 public:
  using Error::Error;
};

class Scorer {
 public:
  // Sequences of T tokens. Error where T exceeds the predictor's context.
  Scorer(Predictor& predictor, std::span<const std::uint8_t> excluded, std::int64_t T);

  // Appends a sequence to the batch: its T ids, for the caller to fill in before the next call.
  std::span<std::int32_t> add_sequence();
  // Asks for `target` at position i of the last sequence.
  void ask(std::int64_t i, std::int32_t target);

  // One forward; then nll, correct and logits hold for each question in the order asked, and the
  // batch is empty again. Copies fill it up to `sequences` and `positions`, so that a forward has a
  // fixed shape; on a CPU the answers are the same bits without, in any batch. NotFinite where
  // one is NaN.
  void run(std::int64_t sequences = 1, std::int64_t positions = 1);
  double nll(std::size_t question) const { return nll_[question]; }  // nats
  bool correct(std::size_t question) const { return correct_[question] != 0; }
  std::span<const double> logits(std::size_t question) const;  // (V) those of excluded tokens too

 private:
  Predictor& predictor_;
  std::span<const std::uint8_t> excluded_;  // (V) 1: logit −∞
  std::int64_t T_;
  std::vector<std::int32_t> ids_;      // (B,T)
  std::vector<std::int64_t> rows_;     // (N), then copies
  std::vector<std::int32_t> targets_;  // (N)
  std::vector<double> weights_;        // (N) all 1
  std::vector<double> logits_;         // (N,V), then those of copies
  std::vector<double> nll_;            // (N)
  std::vector<std::int32_t> correct_;  // (N)
};

}  // namespace masque
