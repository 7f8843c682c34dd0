// A trained transformer as samplers and likelihoods see it: no tape, an arena of its own.
#pragma once

#include <memory>
#include <vector>

#include "core/arena.h"
#include "models/predictor.h"
#include "models/sampler.h"
#include "models/transformer.h"

namespace masque {

// Either objective's Predictor. The transformer must outlive it; training may go on in between
// calls.
class Network : public Predictor {
 public:
  explicit Network(Transformer& transformer)
      : transformer_(transformer), arena_(transformer.device(), "inference") {}

  std::int64_t vocab_size() const override { return transformer_.config().vocab_size; }
  std::int64_t context() const override { return transformer_.config().context; }
  void predict(const PredictorInput& input, std::span<double> logits) override;

  // An AR decoder of B rows with an empty key-value cache.
  std::unique_ptr<Decoder> make_decoder(std::int64_t B);

 private:
  Transformer& transformer_;
  Arena arena_;
};

}  // namespace masque
