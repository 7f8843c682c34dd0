#include "kernels/rmsnorm.h"

#include "kernels/level.h"
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

MASQUE_INSTANTIATE(rmsnorm_forward, RmsnormForward)
MASQUE_INSTANTIATE(rmsnorm_backward, RmsnormBackward)

}  // namespace masque
