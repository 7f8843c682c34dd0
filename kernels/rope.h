// rope: rotates queries and keys of packed qkv in place, by position. Pair (i, i + HS/2) of a head
// turns by position·theta^(−2i/HS): the two halves of a head, as GPT-NeoX and LLaMA do in PyTorch.
// The backward is the inverse rotation of the gradient, in place.
// Moves: reads and writes 2/3 of qkv. Memory bound.
// Su et al. 2021, arXiv:2104.09864
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace masque {

template <class Real>
struct Rope {
  Real* qkv;                    // (B,T,3,NH,HS) in place; v untouched. Backward: its gradient
  std::int64_t first_position;  // of t = 0
  double theta;
  std::int64_t B, T, NH, HS;  // HS even
};

template <class Real>
void rope_forward(On<Cpu, Real> on, const Rope<Real>& args);
template <class Real>
void rope_backward(On<Cpu, Real> on, const Rope<Real>& args);
template <class Real>
void rope_forward(On<Cuda, Real> on, const Rope<Real>& args);
template <class Real>
void rope_backward(On<Cuda, Real> on, const Rope<Real>& args);

}  // namespace masque
