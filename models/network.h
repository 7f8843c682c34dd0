// A trained transformer as samplers and likelihoods see it: no tape, an arena of its own.
#pragma once

#include <memory>
#include <vector>

#include "core/arena.h"
#include "models/predictor.h"
#include "models/sampler.h"
#include "models/transformer.h"

namespace masque {

// An AR network with its key-value cache, for B rows.
class CachedDecoder : public Decoder {
 public:
  CachedDecoder(Transformer& transformer, std::int64_t B);

  // Past the context is an Error, of either; here also an id outside the vocabulary.
  std::span<const double> append(std::span<const std::int32_t> ids, std::int64_t n) override;
  // The same where the network is: ids (B,n) i32 → logits (B,V), valid until the next append. On a
  // GPU not waited for.
  Tensor append(const Tensor& ids);

 private:
  Tensor run(const Tensor& ids);

  Transformer& transformer_;
  std::int64_t B_, past_ = 0;
  Arena cache_arena_, arena_;  // of the cache, never reset; of each append
  std::vector<KeyValueCache> caches_;
  std::vector<double> logits_;  // (B,V)
};

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
  Arena arena_;
};

}  // namespace masque
