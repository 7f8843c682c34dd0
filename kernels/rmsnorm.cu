#include "kernels/gpu.h"
#include "kernels/residual_norm.h"
#include "kernels/rmsnorm.h"

namespace masque {

template <class Real>
void rmsnorm_forward(On<Cuda, Real> on, const RmsnormForward<Real>& args) {
  residual_rmsnorm_forward(on, ResidualDropoutForward<Real>{}, args);
}

template <class Real>
void rmsnorm_backward(On<Cuda, Real> on, const RmsnormBackward<Real>& args) {
  residual_rmsnorm_backward(on, args, ResidualDropoutBackward<Real>{});
}

template void rmsnorm_forward(On<Cuda, float>, const RmsnormForward<float>&);
template void rmsnorm_forward(On<Cuda, bf16>, const RmsnormForward<bf16>&);
template void rmsnorm_backward(On<Cuda, float>, const RmsnormBackward<float>&);
template void rmsnorm_backward(On<Cuda, bf16>, const RmsnormBackward<bf16>&);

}  // namespace masque
