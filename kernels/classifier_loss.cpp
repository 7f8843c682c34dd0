#include "kernels/classifier_loss.h"

#include <algorithm>
#include <type_traits>

#include "kernels/classifier_loss_parts.h"
#include "kernels/gemm.h"
#include "kernels/level.h"
#include "kernels/scratch.h"

namespace masque {
namespace {

// Logits that exist at a time: they stay in a cache from the product to the loss.
constexpr std::int64_t kLogits = 1 << 17;

void narrow(bf16* to, const float* from, std::int64_t count) {
#pragma omp parallel for simd schedule(static)
  for (std::int64_t i = 0; i < count; ++i) to[i] = from[i];
}

// The loss of f32 logits, some rows at a time; dlogits are rounded once.
void forward_of_wide_logits(On<Cpu, bf16> on, const ClassifierLossForward<bf16>& args) {
  const std::int64_t rows = std::clamp<std::int64_t>(kLogits / args.V, 64, 2048);
  float* const logits = scratch_of<float>(Scratch::classifier, rows * args.V);
  for (std::int64_t first = 0; first < args.N; first += rows) {
    const std::int64_t N = std::min(rows, args.N - first);
    Gemm<bf16> product{
        .a = args.hidden + first * args.C, .b = args.head, .M = N, .N = args.V, .K = args.C};
    product.wide = logits;
    product.transpose_b = true;
    gemm(on, product);
    masked_cross_entropy(On<Cpu, float>{},
                         {.loss = args.loss,
                          .counts = args.counts,
                          .nll = args.nll + first,
                          .correct = args.correct == nullptr ? nullptr : args.correct + first,
                          .dlogits = args.dhidden == nullptr ? nullptr : logits,
                          .logits = logits,
                          .targets = args.targets + first,
                          .weights = args.weights + first,
                          .excluded = args.excluded,
                          .N = N,
                          .V = args.V});
    if (args.dhidden == nullptr) continue;
    bf16* dlogits = args.dlogits + first * args.V;
    narrow(dlogits, logits, N * args.V);
    linear_backward(on, LinearBackward<bf16>{.dx = args.dhidden + first * args.C,
                                             .dweight = nullptr,
                                             .dbias = nullptr,
                                             .dout = dlogits,
                                             .x = nullptr,
                                             .weight = args.head,
                                             .N = N,
                                             .IC = args.C,
                                             .OC = args.V});
  }
}

}  // namespace

template <class Real>
void classifier_loss_forward(On<Cpu, Real> on, const ClassifierLossForward<Real>& args) {
  if constexpr (std::is_same_v<Real, bf16>) {
    forward_of_wide_logits(on, args);
  } else {
    classifier_loss_forward_in_parts(on, args);
  }
}

template <class Real>
void classifier_loss_backward(On<Cpu, Real> on, const ClassifierLossBackward<Real>& args) {
  classifier_loss_backward_in_parts(on, args);
}

MASQUE_INSTANTIATE(classifier_loss_forward, ClassifierLossForward)
MASQUE_INSTANTIATE(classifier_loss_backward, ClassifierLossBackward)

}  // namespace masque
