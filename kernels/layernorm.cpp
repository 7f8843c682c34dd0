#include "kernels/layernorm.h"

#include "kernels/bf16.h"
#include "kernels/residual_norm.h"

namespace masque {

template <class Real>
void layernorm_forward(On<Cpu, Real> on, const LayernormForward<Real>& args) {
  residual_layernorm_forward(on, ResidualDropoutForward<Real>{}, args);
}

template <class Real>
void layernorm_backward(On<Cpu, Real> on, const LayernormBackward<Real>& args) {
  residual_layernorm_backward(on, args, ResidualDropoutBackward<Real>{});
}

template void layernorm_forward(On<Cpu, float>, const LayernormForward<float>&);
template void layernorm_forward(On<Cpu, double>, const LayernormForward<double>&);
template void layernorm_forward(On<Cpu, bf16>, const LayernormForward<bf16>&);
template void layernorm_backward(On<Cpu, float>, const LayernormBackward<float>&);
template void layernorm_backward(On<Cpu, double>, const LayernormBackward<double>&);
template void layernorm_backward(On<Cpu, bf16>, const LayernormBackward<bf16>&);

}  // namespace masque
