// residual_dropout: out = residual + keep·branch/(1 − p); keep is Philox at {element of the row,
// global row, step, stream}, so a micro-batch draws what the whole batch would. Moves: reads 2·n
// and writes n of Real forward; reads n and writes n backward. Memory bound. Srivastava et al. 2014
#pragma once

#include <cstdint>

#include "kernels/backend.h"
#include "kernels/step_state.h"

namespace masque {

template <class Real>
struct ResidualDropoutForward {
  Real* out;               // (B,E) may be branch itself
  const Real* residual;    // (B,E), or null: out = dropout(branch)
  const Real* branch;      // (B,E)
  const StepState* state;  // seed, step, first_row; unread where p is 0
  std::uint32_t stream;
  double p;        // probability of dropping an element, in [0, 1)
  std::int64_t B;  // rows of the micro-batch
  std::int64_t E;  // elements of a row, T·C
};

template <class Real>
struct ResidualDropoutBackward {
  Real* dbranch;     // (B,E) written; may be dout itself
  const Real* dout;  // (B,E) which is also the residual's gradient
  const StepState* state;
  std::uint32_t stream;
  double p;
  std::int64_t B, E;
};

template <class Real>
void residual_dropout_forward(On<Cpu, Real> on, const ResidualDropoutForward<Real>& args);
template <class Real>
void residual_dropout_backward(On<Cpu, Real> on, const ResidualDropoutBackward<Real>& args);
template <class Real>
void residual_dropout_forward(On<Cuda, Real> on, const ResidualDropoutForward<Real>& args);
template <class Real>
void residual_dropout_backward(On<Cuda, Real> on, const ResidualDropoutBackward<Real>& args);

}  // namespace masque
