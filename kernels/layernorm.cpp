#include "kernels/layernorm.h"

#include "kernels/level.h"
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

MASQUE_INSTANTIATE(layernorm_forward, LayernormForward)
MASQUE_INSTANTIATE(layernorm_backward, LayernormBackward)

}  // namespace masque
