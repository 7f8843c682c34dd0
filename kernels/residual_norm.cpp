#include "kernels/residual_norm.h"

#include "kernels/bf16.h"

namespace masque {

template <class Real>
void residual_layernorm_forward(On<Cpu, Real> on, const ResidualDropoutForward<Real>& add,
                                const LayernormForward<Real>& norm) {
  residual_dropout_forward(on, add);
  layernorm_forward(on, norm);
}

template <class Real>
void residual_layernorm_backward(On<Cpu, Real> on, const LayernormBackward<Real>& norm,
                                 const ResidualDropoutBackward<Real>& add) {
  layernorm_backward(on, norm);
  residual_dropout_backward(on, add);
}

template <class Real>
void residual_rmsnorm_forward(On<Cpu, Real> on, const ResidualDropoutForward<Real>& add,
                              const RmsnormForward<Real>& norm) {
  residual_dropout_forward(on, add);
  rmsnorm_forward(on, norm);
}

template <class Real>
void residual_rmsnorm_backward(On<Cpu, Real> on, const RmsnormBackward<Real>& norm,
                               const ResidualDropoutBackward<Real>& add) {
  rmsnorm_backward(on, norm);
  residual_dropout_backward(on, add);
}

template void residual_layernorm_forward(On<Cpu, float>, const ResidualDropoutForward<float>&,
                                         const LayernormForward<float>&);
template void residual_layernorm_forward(On<Cpu, bf16>, const ResidualDropoutForward<bf16>&,
                                         const LayernormForward<bf16>&);
template void residual_layernorm_forward(On<Cpu, double>, const ResidualDropoutForward<double>&,
                                         const LayernormForward<double>&);
template void residual_layernorm_backward(On<Cpu, float>, const LayernormBackward<float>&,
                                          const ResidualDropoutBackward<float>&);
template void residual_layernorm_backward(On<Cpu, bf16>, const LayernormBackward<bf16>&,
                                          const ResidualDropoutBackward<bf16>&);
template void residual_layernorm_backward(On<Cpu, double>, const LayernormBackward<double>&,
                                          const ResidualDropoutBackward<double>&);
template void residual_rmsnorm_forward(On<Cpu, float>, const ResidualDropoutForward<float>&,
                                       const RmsnormForward<float>&);
template void residual_rmsnorm_forward(On<Cpu, bf16>, const ResidualDropoutForward<bf16>&,
                                       const RmsnormForward<bf16>&);
template void residual_rmsnorm_forward(On<Cpu, double>, const ResidualDropoutForward<double>&,
                                       const RmsnormForward<double>&);
template void residual_rmsnorm_backward(On<Cpu, float>, const RmsnormBackward<float>&,
                                        const ResidualDropoutBackward<float>&);
template void residual_rmsnorm_backward(On<Cpu, bf16>, const RmsnormBackward<bf16>&,
                                        const ResidualDropoutBackward<bf16>&);
template void residual_rmsnorm_backward(On<Cpu, double>, const RmsnormBackward<double>&,
                                        const ResidualDropoutBackward<double>&);

}  // namespace masque
