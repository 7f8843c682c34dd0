// embedding: out[b,t] = wte[tokens[b,t]] + wpe[first_position + t].
// Moves: reads 2·N·C of Real and N ids, writes N·C. Memory bound.
// Backward accumulates (+=) into dwte, dwpe, without atomics and in an order fixed by the shape.
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace masque {

template <class Real>
struct EmbeddingForward {
  Real* out;                    // (B,T,C)
  const std::int32_t* tokens;   // (B,T)
  const Real* wte;              // (V,C)
  const Real* wpe;              // (context,C), or null: no learned positions
  std::int64_t first_position;  // of t = 0
  std::int64_t B, T, C;
};

template <class Real>
struct EmbeddingBackward {
  param_t<Real>* dwte;         // (V,C) +=
  param_t<Real>* dwpe;         // (context,C) +=, or null
  const Real* dout;            // (B,T,C)
  const std::int32_t* tokens;  // (B,T)
  std::int64_t B, T, C, V;
};

template <class Real>
void embedding_forward(On<Cpu, Real> on, const EmbeddingForward<Real>& args);
template <class Real>
void embedding_backward(On<Cpu, Real> on, const EmbeddingBackward<Real>& args);
template <class Real>
void embedding_forward(On<Cuda, Real> on, const EmbeddingForward<Real>& args);
template <class Real>
void embedding_backward(On<Cuda, Real> on, const EmbeddingBackward<Real>& args);

}  // namespace masque
