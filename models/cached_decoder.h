// An AR network that reads a token at a time: keys and values of earlier ones are kept. On a CPU
// each thread takes rows of its own, as far as weights allow.
#pragma once

#include <vector>

#include "core/arena.h"
#include "core/thread_arenas.h"
#include "models/sampler.h"
#include "models/transformer.h"

namespace masque {

// For B rows. The transformer must be causal, and outlive it.
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

}  // namespace masque
