#include "kernels/classifier_loss.h"

#include "kernels/classifier_loss_parts.h"

namespace masque {

template <class Real>
void classifier_loss_forward(On<Cpu, Real> on, const ClassifierLossForward<Real>& args) {
  classifier_loss_forward_in_parts(on, args);
}

template <class Real>
void classifier_loss_backward(On<Cpu, Real> on, const ClassifierLossBackward<Real>& args) {
  classifier_loss_backward_in_parts(on, args);
}

template void classifier_loss_forward(On<Cpu, float>, const ClassifierLossForward<float>&);
template void classifier_loss_forward(On<Cpu, double>, const ClassifierLossForward<double>&);
template void classifier_loss_backward(On<Cpu, float>, const ClassifierLossBackward<float>&);
template void classifier_loss_backward(On<Cpu, double>, const ClassifierLossBackward<double>&);

}  // namespace masque
