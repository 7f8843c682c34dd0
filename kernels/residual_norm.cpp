#include "kernels/residual_norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/dropped_rows.h"
#include "kernels/level.h"
#include "kernels/row_chunks.h"
#include "kernels/row_parts.h"

namespace masque {
namespace MASQUE_LEVEL {
namespace {

// Row n of (N,C), which is part of row n·C / E of (B,E).
template <class Real>
void add_row(const ResidualDropoutForward<Real>& add, std::int64_t n, std::int64_t C) {
  add_part(add, n * C / add.E, n * C % add.E, C);
}

template <class Real>
void layernorm_row(const LayernormForward<Real>& args, std::int64_t n) {
  using Stat = stat_t<Real>;
  const std::int64_t C = args.C;
  const Real* x = args.x + n * C;
  Real* out = args.out + n * C;
  VectorOf<Stat> sums = {}, squares = {};
  for_parts<Stat>(C, [&](const auto& part) { sums += part.load(x); });
  const Stat mean = sum_of<Stat>(sums) / C;
  for_parts<Stat>(C, [&](const auto& part) {
    const auto centred = part.only(part.load(x) - mean);
    squares += centred * centred;
  });
  const Stat rstd = 1 / std::sqrt(sum_of<Stat>(squares) / C + static_cast<Stat>(args.eps));
  for_parts<Stat>(C, [&](const auto& part) {
    auto normed = (part.load(x) - mean) * rstd * part.load(args.weight);
    if (args.bias != nullptr) normed += part.load(args.bias);
    part.store(out, normed);
  });
  args.mean[n] = mean;
  args.rstd[n] = rstd;
}

template <class Real>
void rmsnorm_row(const RmsnormForward<Real>& args, std::int64_t n) {
  using Stat = stat_t<Real>;
  const std::int64_t C = args.C;
  const Real* x = args.x + n * C;
  Real* out = args.out + n * C;
  VectorOf<Stat> squares = {};
  for_parts<Stat>(C, [&](const auto& part) {
    const auto value = part.load(x);
    squares += value * value;
  });
  const Stat rstd = 1 / std::sqrt(sum_of<Stat>(squares) / C + static_cast<Stat>(args.eps));
  for_parts<Stat>(
      C, [&](const auto& part) { part.store(out, part.load(x) * rstd * part.load(args.weight)); });
  args.rstd[n] = rstd;
}

// With x̂ = (x − mean)·rstd and g = dout·weight: dx = rstd·(g − mean(g) − x̂·mean(g·x̂)). dweight and
// dbias are this chunk's sums.
template <class Real>
void layernorm_backward_row(const LayernormBackward<Real>& args, std::int64_t n,
                            stat_t<Real>* dweight, stat_t<Real>* dbias) {
  using Stat = stat_t<Real>;
  const std::int64_t C = args.C;
  const Real* x = args.x + n * C;
  const Real* dout = args.dout + n * C;
  const Stat mean = args.mean[n], rstd = args.rstd[n];
  VectorOf<Stat> sums = {}, dots = {};
  for_parts<Stat>(C, [&](const auto& part) {
    const auto normed = (part.load(x) - mean) * rstd, outer = part.load(dout);
    const auto gradient = outer * part.load(args.weight);
    sums += gradient;
    dots += gradient * normed;
    part.store(dweight, part.load(dweight) + outer * normed);
    part.store(dbias, part.load(dbias) + outer);
  });
  const Stat sum = sum_of<Stat>(sums) / C, dot = sum_of<Stat>(dots) / C;
  Real* dx = args.dx + n * C;
  const Real* dresidual = args.dresidual == nullptr ? nullptr : args.dresidual + n * C;
  for_parts<Stat>(C, [&](const auto& part) {
    const auto normed = (part.load(x) - mean) * rstd;
    auto gradient = (part.load(dout) * part.load(args.weight) - sum - normed * dot) * rstd;
    if (dresidual != nullptr) gradient += part.load(dresidual);
    part.store(dx, gradient);
  });
}

// With x̂ = x·rstd and g = dout·weight: dx = rstd·(g − x̂·mean(g·x̂)).
template <class Real>
void rmsnorm_backward_row(const RmsnormBackward<Real>& args, std::int64_t n,
                          stat_t<Real>* dweight) {
  using Stat = stat_t<Real>;
  const std::int64_t C = args.C;
  const Real* x = args.x + n * C;
  const Real* dout = args.dout + n * C;
  const Stat rstd = args.rstd[n];
  VectorOf<Stat> dots = {};
  for_parts<Stat>(C, [&](const auto& part) {
    const auto product = part.load(dout) * (part.load(x) * rstd);
    dots += product * part.load(args.weight);
    part.store(dweight, part.load(dweight) + product);
  });
  const Stat dot = sum_of<Stat>(dots) / C;
  Real* dx = args.dx + n * C;
  const Real* dresidual = args.dresidual == nullptr ? nullptr : args.dresidual + n * C;
  for_parts<Stat>(C, [&](const auto& part) {
    auto gradient = (part.load(dout) * part.load(args.weight) - part.load(x) * rstd * dot) * rstd;
    if (dresidual != nullptr) gradient += part.load(dresidual);
    part.store(dx, gradient);
  });
}

// A row is added, then normed while it is in the nearest cache.
template <class Args, class Real, class Row>
void forward(const ResidualDropoutForward<Real>& add, const Args& norm, const Row& norm_row) {
  const bool to_add = adds(add);
#pragma omp parallel for schedule(static) if (norm.N * norm.C >= kParallelElements)
  for (std::int64_t n = 0; n < norm.N; ++n) {
    if (to_add) add_row(add, n, norm.C);
    norm_row(norm, n);
  }
}

// norm_row(norm, n, sums): sums of the chunk, (Sums,C).
template <std::int64_t Sums, class Args, class Real, class Row>
const stat_t<Real>* backward(const Args& norm, const ResidualDropoutBackward<Real>& add,
                             const RowChunks& chunks, const Row& norm_row) {
  const std::int64_t C = norm.C;
  const ResidualDropoutForward<Real> drop = forward_of_gradient(add);
  const bool to_drop = adds(drop);
  stat_t<Real>* const parts = zeroed_sums<stat_t<Real>>(chunks.count() * Sums * C);
#pragma omp parallel for schedule(static) if (norm.N * C >= kParallelElements)
  for (std::int64_t chunk = 0; chunk < chunks.count(); ++chunk) {
    for (std::int64_t n = chunks.begin(chunk); n < chunks.end(chunk); ++n) {
      norm_row(norm, n, parts + chunk * Sums * C);
      if (to_drop) add_row(drop, n, C);
    }
  }
  return parts;
}

}  // namespace

template <class Real>
void residual_layernorm_forward(On<Cpu, Real>, const ResidualDropoutForward<Real>& add,
                                const LayernormForward<Real>& norm) {
  forward(add, norm, layernorm_row<Real>);
}

template <class Real>
void residual_layernorm_backward(On<Cpu, Real>, const LayernormBackward<Real>& norm,
                                 const ResidualDropoutBackward<Real>& add) {
  using Stat = stat_t<Real>;
  const RowChunks chunks(norm.N);
  const std::int64_t C = norm.C;
  const auto row = [C](const LayernormBackward<Real>& args, std::int64_t n, Stat* sums) {
    layernorm_backward_row(args, n, sums, sums + C);
  };
  const Stat* parts = backward<2>(norm, add, chunks, row);
  add_chunks(norm.dweight, parts, chunks.count(), 2 * C, C);
  if (norm.dbias != nullptr) add_chunks(norm.dbias, parts + C, chunks.count(), 2 * C, C);
}

template <class Real>
void residual_rmsnorm_forward(On<Cpu, Real>, const ResidualDropoutForward<Real>& add,
                              const RmsnormForward<Real>& norm) {
  forward(add, norm, rmsnorm_row<Real>);
}

template <class Real>
void residual_rmsnorm_backward(On<Cpu, Real>, const RmsnormBackward<Real>& norm,
                               const ResidualDropoutBackward<Real>& add) {
  const RowChunks chunks(norm.N);
  const auto* parts = backward<1>(norm, add, chunks, rmsnorm_backward_row<Real>);
  add_chunks(norm.dweight, parts, chunks.count(), norm.C, norm.C);
}

MASQUE_INSTANTIATE_PAIR(residual_layernorm_forward, ResidualDropoutForward, LayernormForward)
MASQUE_INSTANTIATE_PAIR(residual_layernorm_backward, LayernormBackward, ResidualDropoutBackward)
MASQUE_INSTANTIATE_PAIR(residual_rmsnorm_forward, ResidualDropoutForward, RmsnormForward)
MASQUE_INSTANTIATE_PAIR(residual_rmsnorm_backward, RmsnormBackward, ResidualDropoutBackward)

}  // namespace MASQUE_LEVEL
}  // namespace masque
