// classifier_loss as its parts, one kernel after the other: on the CPU, and on a GPU where the
// fused kernel does not fit. Rows of dlogits are dense.
#pragma once

#include "kernels/classifier_loss.h"
#include "kernels/linear.h"
#include "kernels/masked_cross_entropy.h"

namespace masque {

template <class OnType, class Real>
void classifier_loss_forward_in_parts(OnType on, const ClassifierLossForward<Real>& args) {
  linear_forward(on, {.out = args.dlogits,
                      .x = args.hidden,
                      .weight = args.head,
                      .bias = nullptr,
                      .N = args.N,
                      .IC = args.C,
                      .OC = args.V});
  masked_cross_entropy(on, {.loss = args.loss,
                            .counts = args.counts,
                            .nll = args.nll,
                            .correct = args.correct,
                            .dlogits = args.dhidden == nullptr ? nullptr : args.dlogits,
                            .logits = args.dlogits,
                            .targets = args.targets,
                            .weights = args.weights,
                            .excluded = args.excluded,
                            .N = args.N,
                            .V = args.V});
  if (args.dhidden == nullptr) return;
  linear_backward(on, {.dx = args.dhidden,
                       .dweight = nullptr,
                       .dbias = nullptr,
                       .dout = args.dlogits,
                       .x = args.hidden,
                       .weight = args.head,
                       .N = args.N,
                       .IC = args.C,
                       .OC = args.V});
}

template <class OnType, class Real>
void classifier_loss_backward_in_parts(OnType on, const ClassifierLossBackward<Real>& args) {
  linear_backward(on, {.dx = nullptr,
                       .dweight = args.dhead,
                       .dbias = nullptr,
                       .dout = args.dlogits,
                       .x = args.hidden,
                       .weight = nullptr,
                       .N = args.N,
                       .IC = args.C,
                       .OC = args.V});
}

}  // namespace masque
