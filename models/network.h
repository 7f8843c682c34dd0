// A trained transformer as samplers and likelihoods see it: no tape, memory of its own. On a CPU
// each thread takes sequences of its own through all layers, so that none waits for another and
// what a layer writes is still in the cache when the next reads it. There a sequence's logits are
// the same bits in any batch and on any number of threads.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "core/arena.h"
#include "models/predictor.h"
#include "models/sampler.h"
#include "models/transformer.h"

namespace masque {

// An arena for each thread that works at the same time.
class ThreadArenas {
 public:
  ThreadArenas(Device device, std::string what, std::string mend)
      : device_(device), what_(std::move(what)), mend_(std::move(mend)) {}

  void make(int threads);  // before they are used by as many
  Arena& operator[](int thread) { return arenas_[static_cast<std::size_t>(thread)]; }
  const Device& device() const { return device_; }

 private:
  Device device_;
  std::string what_, mend_;
  std::deque<Arena> arenas_;
};

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
  std::int64_t rows_together(std::int64_t n) const;
  void check_room(std::int64_t n) const;
  // Logits (count,V) after ids (count,n) of the rows from `first` on; past_ is the caller's.
  Tensor run(Arena& arena, const Tensor& ids, std::int64_t first);

  Transformer& transformer_;
  std::int64_t B_, past_ = 0;
  Arena cache_arena_;    // never reset
  ThreadArenas arenas_;  // of each append
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
  ThreadArenas arenas_;
};

// What Network::predict takes for activations, in bytes: of B sequences of T tokens with
// `positions` rows wanted, spread over them.
std::size_t predict_bytes(Transformer& transformer, std::int64_t B, std::int64_t T,
                          std::int64_t positions);

}  // namespace masque
