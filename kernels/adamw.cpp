#include "kernels/adamw.h"

#include <cmath>

#include "kernels/level.h"
#include "kernels/row_chunks.h"

namespace masque {
namespace MASQUE_LEVEL {
namespace {

// Parameters begin … end − 1, all with one weight decay.
template <class Real>
void update_range(const AdamW<Real>& args, std::int64_t begin, std::int64_t end, double decay) {
  using Param = param_t<Real>;
  const double k = static_cast<double>(args.state->step) + 1;
  const double lr = args.state->lr;
  const Param beta1 = static_cast<Param>(args.beta1), one_minus_beta1 = Param(1 - args.beta1);
  const Param beta2 = static_cast<Param>(args.beta2), one_minus_beta2 = Param(1 - args.beta2);
  const Param clip_scale = static_cast<Param>(args.state->clip_scale);
  const Param rate = static_cast<Param>(lr / (1 - std::pow(args.beta1, k)));
  const Param v_scale = static_cast<Param>(1 / (1 - std::pow(args.beta2, k)));
  const Param eps = static_cast<Param>(args.eps), shrink = static_cast<Param>(lr * decay);
#pragma omp parallel for simd schedule(static) if (parallel : end - begin >= kParallelElements)
  for (std::int64_t i = begin; i < end; ++i) {
    const Param g = clip_scale * args.grad[i];
    const Param m = beta1 * args.m[i] + one_minus_beta1 * g;
    const Param v = beta2 * args.v[i] + one_minus_beta2 * (g * g);
    const Param w = args.master[i];
    args.m[i] = m;
    args.v[i] = v;
    args.master[i] = w - (rate * m / (std::sqrt(v * v_scale) + eps) + shrink * w);
  }
}

// ema ← ema_decay·ema + (1 − ema_decay)·master, as a step towards master: exact where they agree.
template <class Real>
void update_ema(const AdamW<Real>& args) {
  const param_t<Real> share = static_cast<param_t<Real>>(1 - args.ema_decay);
#pragma omp parallel for simd schedule(static) if (parallel : args.n >= kParallelElements)
  for (std::int64_t i = 0; i < args.n; ++i) {
    args.ema[i] += share * (args.master[i] - args.ema[i]);
  }
}

template <class Real>
void update_compute(const AdamW<Real>& args) {
#pragma omp parallel for simd schedule(static) if (parallel : args.n >= kParallelElements)
  for (std::int64_t i = 0; i < args.n; ++i) args.compute[i] = args.master[i];
}

}  // namespace

template <class Real>
void adamw(On<Cpu, Real>, const AdamW<Real>& args) {
  if (args.state->finite == 0) return;
  update_range(args, 0, args.n_decay, args.decay);
  update_range(args, args.n_decay, args.n, 0);
  if (args.ema != nullptr) update_ema(args);
  if (args.compute != nullptr) update_compute(args);
}

MASQUE_INSTANTIATE(adamw, AdamW)

}  // namespace MASQUE_LEVEL
}  // namespace masque
