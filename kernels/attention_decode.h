// attention_decode: causal attention of a few new positions over a long cache, for generation.
// Appends the new keys and values at `past`, then attends: new position t sees cache entries 0 …
// past + t. Moves: reads 2·B·(past + T)·NH·HS of Real. Memory bound where T is small.
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace masque {

template <class Real>
struct AttentionDecode {
  Real* out;          // (B,T,NH,HS)
  Real* keys;         // (B,capacity,NH,HS) entries past … past + T − 1 are written
  Real* values;       // (B,capacity,NH,HS) likewise
  const Real* qkv;    // (B,T,3,NH,HS) of the new positions, rotated already where rope is used
  std::int64_t past;  // entries in the cache before this call; past + T ≤ capacity
  std::int64_t capacity;
  std::int64_t B, T, NH, HS;
};

// The Error of a call whose `entries` positions do not fit.
[[noreturn]] void cache_is_full(std::int64_t entries, std::int64_t capacity);

template <class Real>
void attention_decode(On<Cpu, Real> on, const AttentionDecode<Real>& args);
template <class Real>
void attention_decode(On<Cuda, Real> on, const AttentionDecode<Real>& args);

}  // namespace masque
