// A trained transformer as samplers and likelihoods see it: no tape, memory of its own. On a CPU
// each thread takes sequences of its own through all layers, so that none waits for another and
// what a layer writes is still in the cache when the next reads it. There a sequence's logits are
// the same bits in any batch and on any number of threads.
#pragma once

#include <memory>

#include "core/thread_arenas.h"
#include "models/cached_decoder.h"
#include "models/predictor.h"
#include "models/transformer.h"

namespace masque {

// Either objective's Predictor. The transformer must outlive it; training may go on in between
// calls.
class Network : public Predictor {
 public:
  explicit Network(Transformer& transformer);

  std::int64_t vocab_size() const override { return transformer_.config().vocab_size; }
  std::int64_t context() const override { return transformer_.config().context; }
  // Error where T is above the context, an id outside the vocabulary, or a row outside B·T.
  void predict(const PredictorInput& input, std::span<double> logits) override;

  // An AR decoder of B rows with an empty key-value cache.
  std::unique_ptr<CachedDecoder> make_decoder(std::int64_t B);
  Transformer& transformer() const { return transformer_; }

 private:
  Transformer& transformer_;
  ThreadArenas arenas_;
};

// What Network::predict takes for activations, in bytes: of B sequences of T tokens with
// `positions` rows wanted, spread over them.
std::size_t predict_bytes(Transformer& transformer, std::int64_t B, std::int64_t T,
                          std::int64_t positions);

}  // namespace masque
