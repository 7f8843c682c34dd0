#include "kernels/gpu.h"
#include "kernels/layernorm.h"
#include "kernels/residual_norm.h"

namespace masque {

template <class Real>
void layernorm_forward(On<Cuda, Real> on, const LayernormForward<Real>& args) {
  residual_layernorm_forward(on, ResidualDropoutForward<Real>{}, args);
}

template <class Real>
void layernorm_backward(On<Cuda, Real> on, const LayernormBackward<Real>& args) {
  residual_layernorm_backward(on, args, ResidualDropoutBackward<Real>{});
}

template void layernorm_forward(On<Cuda, float>, const LayernormForward<float>&);
template void layernorm_forward(On<Cuda, bf16>, const LayernormForward<bf16>&);
template void layernorm_backward(On<Cuda, float>, const LayernormBackward<float>&);
template void layernorm_backward(On<Cuda, bf16>, const LayernormBackward<bf16>&);

}  // namespace masque
