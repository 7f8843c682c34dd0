// The step of a pre-norm residual stream: residual_dropout, then a norm of the sum. Forward, norm.x
// is add.out; backward, add.dout is norm.dx. Each way one kernel.
// Moves: reads 2·N·C of Real and writes 2·N·C forward; reads 3·N·C and writes 2·N·C backward.
// Memory bound. An `add` of all zeros is a norm alone; one whose branch is its own result (p is 0,
// no residual) moves nothing more than that.
#pragma once

#include "kernels/layernorm.h"
#include "kernels/residual_dropout.h"
#include "kernels/rmsnorm.h"

namespace masque {

template <class Real>
void residual_layernorm_forward(On<Cpu, Real> on, const ResidualDropoutForward<Real>& add,
                                const LayernormForward<Real>& norm);
template <class Real>
void residual_layernorm_backward(On<Cpu, Real> on, const LayernormBackward<Real>& norm,
                                 const ResidualDropoutBackward<Real>& add);
template <class Real>
void residual_rmsnorm_forward(On<Cpu, Real> on, const ResidualDropoutForward<Real>& add,
                              const RmsnormForward<Real>& norm);
template <class Real>
void residual_rmsnorm_backward(On<Cpu, Real> on, const RmsnormBackward<Real>& norm,
                               const ResidualDropoutBackward<Real>& add);
template <class Real>
void residual_layernorm_forward(On<Cuda, Real> on, const ResidualDropoutForward<Real>& add,
                                const LayernormForward<Real>& norm);
template <class Real>
void residual_layernorm_backward(On<Cuda, Real> on, const LayernormBackward<Real>& norm,
                                 const ResidualDropoutBackward<Real>& add);
template <class Real>
void residual_rmsnorm_forward(On<Cuda, Real> on, const ResidualDropoutForward<Real>& add,
                              const RmsnormForward<Real>& norm);
template <class Real>
void residual_rmsnorm_backward(On<Cuda, Real> on, const RmsnormBackward<Real>& norm,
                               const ResidualDropoutBackward<Real>& add);

}  // namespace masque
