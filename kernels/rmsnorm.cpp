#include "kernels/rmsnorm.h"

#include "kernels/bf16.h"
#include "kernels/residual_norm.h"

namespace masque {

template <class Real>
void rmsnorm_forward(On<Cpu, Real> on, const RmsnormForward<Real>& args) {
  residual_rmsnorm_forward(on, ResidualDropoutForward<Real>{}, args);
}

template <class Real>
void rmsnorm_backward(On<Cpu, Real> on, const RmsnormBackward<Real>& args) {
  residual_rmsnorm_backward(on, args, ResidualDropoutBackward<Real>{});
}

template void rmsnorm_forward(On<Cpu, float>, const RmsnormForward<float>&);
template void rmsnorm_forward(On<Cpu, double>, const RmsnormForward<double>&);
template void rmsnorm_forward(On<Cpu, bf16>, const RmsnormForward<bf16>&);
template void rmsnorm_backward(On<Cpu, float>, const RmsnormBackward<float>&);
template void rmsnorm_backward(On<Cpu, double>, const RmsnormBackward<double>&);
template void rmsnorm_backward(On<Cpu, bf16>, const RmsnormBackward<bf16>&);

}  // namespace masque
