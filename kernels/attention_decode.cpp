#include "kernels/attention_decode.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/dot.h"
#include "kernels/fold.h"
#include "kernels/level.h"
#include "kernels/scratch.h"
#include "kernels/vector_math.h"

namespace masque {
namespace MASQUE_LEVEL {
namespace {

// Dot products of a query with its visible keys, a vector of them at a time: `scores` has room for
// whole vectors. Returns the largest.
template <class Real>
stat_t<Real> score_keys(stat_t<Real>* scores, const Real* query, const Real* keys,
                        std::int64_t row_stride, std::int64_t visible, std::int64_t HS) {
  using Stat = stat_t<Real>;
  using Vector = typename Simd<Stat>::Vector;
  constexpr std::int64_t lanes = Simd<Stat>::lanes, step = Dot<Real>::step;
  const std::int64_t whole = Dot<Real>::masked ? HS : HS - HS % step;
  Vector largest = Vector{} - std::numeric_limits<Stat>::infinity();
  for (std::int64_t j = 0; j < visible; j += lanes) {
    const Real* key[lanes];  // past the last the last again, which is never the only largest
    for (std::int64_t n = 0; n < lanes; ++n) {
      key[n] = keys + std::min(j + n, visible - 1) * row_stride;
    }
    Vector sums[lanes] = {};
    for (std::int64_t d = 0; d < whole; d += step) {
#pragma GCC unroll 16
      for (std::int64_t n = 0; n < lanes; ++n) {
        Dot<Real>::add(sums[n], query + d, key[n] + d, whole - d);
      }
    }
    auto& to = *reinterpret_cast<typename Simd<Stat>::Stored*>(scores + j);
    to = sums_of<Stat>(sums);
    for (std::int64_t d = whole; d < HS; ++d) {
      for (std::int64_t n = 0; n < lanes; ++n) scores[j + n] += Stat(query[d]) * Stat(key[n][d]);
    }
    largest = to > largest ? to : largest;
  }
  Stat most = largest[0];
  for (std::int64_t n = 1; n < lanes; ++n) most = std::max(most, Stat(largest[n]));
  return most;
}

// out = factor · Σ_j weights_j · value_j, for as many dimensions as Vectors hold. Even and odd j
// are summed apart: one sum would wait for itself.
template <int Vectors, class Real>
void sum_values(Real* out, const stat_t<Real>* weights, stat_t<Real> factor, const Real* values,
                std::int64_t row_stride, std::int64_t visible) {
  using Stat = stat_t<Real>;
  using Vector = typename Simd<Stat>::Vector;
  constexpr std::int64_t lanes = Simd<Stat>::lanes;
  Vector sums[2][Vectors] = {};
  const auto add = [&](std::int64_t j, int half) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      sums[half][v] += weights[j] * load(values + j * row_stride + v * lanes);
    }
  };
  std::int64_t j = 0;
  for (; j + 2 <= visible; j += 2) {
    add(j, 0);
    add(j + 1, 1);
  }
  if (j < visible) add(j, 0);
  for (int v = 0; v < Vectors; ++v) {
    store(out + v * lanes, (sums[0][v] + sums[1][v]) * factor);
  }
}

// out = Σ_j softmax(scale·scores)_j · value_j.
template <class Real>
void attend(Real* out, stat_t<Real>* scores, stat_t<Real> largest, const Real* values,
            std::int64_t row_stride, std::int64_t visible, std::int64_t HS) {
  using Stat = stat_t<Real>;
  constexpr std::int64_t lanes = Simd<Stat>::lanes;
  const Stat scale = 1 / std::sqrt(static_cast<Stat>(HS));
  const std::int64_t whole = round_up(visible, lanes);
  std::fill(scores + visible, scores + whole, -std::numeric_limits<Stat>::infinity());
  const Stat factor = 1 / sum_of<Stat>(exp_row(scores, scores, whole, scale, largest * scale));
  std::int64_t d = 0;
  const auto sum = [&]<int Vectors>() {
    for (; d + Vectors * lanes <= HS; d += Vectors * lanes) {
      sum_values<Vectors>(out + d, scores, factor, values + d, row_stride, visible);
    }
  };
  sum.template operator()<4>();
  sum.template operator()<2>();
  sum.template operator()<1>();
  for (; d < HS; ++d) {
    Stat total = 0;
    for (std::int64_t j = 0; j < visible; ++j)
      total += scores[j] * Stat(values[j * row_stride + d]);
    out[d] = total * factor;
  }
}

}  // namespace

template <class Real>
void attention_decode(On<Cpu, Real>, const AttentionDecode<Real>& args) {
  const std::int64_t NH = args.NH, HS = args.HS, width = NH * HS;
  const std::int64_t entries = args.past + args.T;
  if (entries > args.capacity) cache_is_full(entries, args.capacity);
  const std::int64_t share = round_up(entries, Simd<stat_t<Real>>::lanes);
  stat_t<Real>* const room =
      scratch_of<stat_t<Real>>(Scratch::attention, omp_get_max_threads() * share);
#pragma omp parallel
  {
#pragma omp for schedule(static)
    for (std::int64_t row = 0; row < args.B * args.T; ++row) {
      const std::int64_t b = row / args.T, t = row % args.T;
      const std::int64_t entry = (b * args.capacity + args.past + t) * width;
      std::copy_n(args.qkv + (row * 3 + 1) * width, width, args.keys + entry);
      std::copy_n(args.qkv + (row * 3 + 2) * width, width, args.values + entry);
    }
    stat_t<Real>* scores = room + omp_get_thread_num() * share;
#pragma omp for schedule(static)
    for (std::int64_t task = 0; task < args.B * args.T * NH; ++task) {
      const std::int64_t row = task / NH, head = task % NH;
      const std::int64_t b = row / args.T, t = row % args.T;
      const std::int64_t visible = args.past + t + 1;
      const std::int64_t cache = b * args.capacity * width + head * HS;
      const stat_t<Real> largest = score_keys(scores, args.qkv + row * 3 * width + head * HS,
                                              args.keys + cache, width, visible, HS);
      attend(args.out + row * width + head * HS, scores, largest, args.values + cache, width,
             visible, HS);
    }
  }
}

MASQUE_INSTANTIATE(attention_decode, AttentionDecode)

}  // namespace MASQUE_LEVEL
}  // namespace masque
