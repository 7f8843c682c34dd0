#include "kernels/masked_cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "kernels/level.h"
#include "kernels/row_chunks.h"
#include "kernels/vector_math.h"

namespace masque {
namespace MASQUE_LEVEL {
namespace {

// 1 for the entries that take part, 0 for the excluded: as wide as the logits, so that loops over
// both vectorise.
template <class Stat>
const Stat* allowed_entries(const std::uint8_t* excluded, std::int64_t V) {
  Stat* allowed = zeroed_sums<Stat>(V);
  for (std::int64_t v = 0; v < V; ++v) allowed[v] = excluded == nullptr || !excluded[v] ? 1 : 0;
  return allowed;
}

// The largest logit; a NaN stays out of it and shows in the sum.
template <class Real>
stat_t<Real> max_logit(const Real* logits, const stat_t<Real>* allowed, std::int64_t V) {
  using Stat = stat_t<Real>;
  constexpr Stat lowest = -std::numeric_limits<Stat>::infinity();
  Stat max = lowest;
#pragma omp simd reduction(max : max)
  for (std::int64_t v = 0; v < V; ++v) {
    const Stat logit = allowed[v] != 0 ? Stat(logits[v]) : lowest;
    max = logit > max ? logit : max;
  }
  return max;
}

// Σ exp(logit − max). Stores the terms in `terms`, which may be the logits, unless it is null.
template <class Real>
stat_t<Real> sum_exp(const Real* logits, const stat_t<Real>* allowed, std::int64_t V,
                     stat_t<Real> max, Real* terms) {
  using Stat = stat_t<Real>;
  Stat sum = 0;
  if (terms == nullptr) {
#pragma omp simd reduction(+ : sum)
    for (std::int64_t v = 0; v < V; ++v) {
      const Stat e = fast_exp(Stat(logits[v]) - max);
      sum += allowed[v] != 0 ? e : 0;
    }
    return sum;
  }
#pragma omp simd reduction(+ : sum)
  for (std::int64_t v = 0; v < V; ++v) {
    const Stat e = fast_exp(Stat(logits[v]) - max);
    const Stat term = allowed[v] != 0 ? e : 0;
    sum += term;
    terms[v] = term;
  }
  return sum;
}

// The gradient in one rounding, from logits that it may overwrite: for types too narrow to keep
// terms in.
template <class Real>
void gradient_of_logits(Real* dlogits, const Real* logits, const stat_t<Real>* allowed,
                        std::int64_t V, stat_t<Real> max, stat_t<Real> scale, std::int32_t target,
                        stat_t<Real> weight) {
  using Stat = stat_t<Real>;
  const Stat of_target = fast_exp(Stat(logits[target]) - max) * scale - weight;
#pragma omp simd
  for (std::int64_t v = 0; v < V; ++v) {
    const Stat term = fast_exp(Stat(logits[v]) - max) * scale;
    dlogits[v] = allowed[v] != 0 ? term : 0;
  }
  dlogits[target] = of_target;
}

template <class Real>
bool is_first_max(const Real* logits, const stat_t<Real>* allowed, std::int32_t target,
                  stat_t<Real> max) {
  if (logits[target] != max) return false;
  for (std::int32_t v = 0; v < target; ++v) {
    if (logits[v] == max && allowed[v] != 0) return false;
  }
  return true;
}

// One position of weight not 0. Reads the target's logit before the gradient takes its place.
template <class Real>
void one_position(const MaskedCrossEntropy<Real>& args, const stat_t<Real>* allowed,
                  std::int64_t n) {
  using Stat = stat_t<Real>;
  const std::int64_t V = args.V;
  const Real* logits = args.logits + n * V;
  Real* dlogits = args.dlogits == nullptr ? nullptr : args.dlogits + n * V;
  const std::int32_t target = args.targets[n];
  const Stat max = max_logit(logits, allowed, V);
  const double below_max = double(max) - double(logits[target]);
  if (args.correct != nullptr) args.correct[n] = is_first_max(logits, allowed, target, max);
  constexpr bool keeps_terms = std::is_same_v<Real, Stat>;
  const Stat sum = sum_exp(logits, allowed, V, max, keeps_terms ? dlogits : nullptr);
  args.nll[n] = static_cast<Stat>(below_max + std::log(double(sum)));
  if (dlogits == nullptr) return;
  const Stat weight = args.weights[n], scale = weight / sum;
  if constexpr (!keeps_terms) {
    return gradient_of_logits(dlogits, logits, allowed, V, max, scale, target, weight);
  } else {
#pragma omp simd
    for (std::int64_t v = 0; v < V; ++v) dlogits[v] *= scale;
    dlogits[target] -= weight;
  }
}

}  // namespace

template <class Real>
void masked_cross_entropy(On<Cpu, Real>, const MaskedCrossEntropy<Real>& args) {
  const std::int64_t N = args.N, V = args.V;
  const auto* allowed = allowed_entries<stat_t<Real>>(args.excluded, V);
#pragma omp parallel for schedule(dynamic, 16) if (N * V >= kParallelElements)
  for (std::int64_t n = 0; n < N; ++n) {
    if (args.weights[n] != 0) {
      one_position(args, allowed, n);
      continue;
    }
    args.nll[n] = 0;
    if (args.correct != nullptr) args.correct[n] = 0;
    if (args.dlogits != nullptr) std::fill_n(args.dlogits + n * V, V, Real{0});
  }
  double loss = 0;
  for (std::int64_t n = 0; n < N; ++n) {
    loss += static_cast<double>(args.weights[n]) * static_cast<double>(args.nll[n]);
  }
  *args.loss += loss;
  if (args.counts == nullptr) return;
  for (std::int64_t n = 0; n < N; ++n) {
    if (args.weights[n] == 0) continue;
    ++args.counts[0];
    args.counts[1] += args.correct[n];
  }
}

MASQUE_INSTANTIATE(masked_cross_entropy, MaskedCrossEntropy)

}  // namespace MASQUE_LEVEL
}  // namespace masque
