#include "kernels/attention_decode.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/level.h"
#include "kernels/scratch.h"
#include "kernels/vector_math.h"

namespace masque {
namespace MASQUE_LEVEL {
namespace {

// Scores of one query against its visible keys, and their largest.
template <class Real>
stat_t<Real> score_keys(stat_t<Real>* scores, const Real* query, const Real* keys,
                        std::int64_t row_stride, std::int64_t visible, std::int64_t HS) {
  using Stat = stat_t<Real>;
  const Stat scale = 1 / std::sqrt(static_cast<Stat>(HS));
  Stat largest = -std::numeric_limits<Stat>::infinity();
  for (std::int64_t j = 0; j < visible; ++j) {
    const Real* key = keys + j * row_stride;
    Stat dot = 0;
#pragma omp simd reduction(+ : dot)
    for (std::int64_t d = 0; d < HS; ++d) dot += Stat(query[d]) * Stat(key[d]);
    scores[j] = dot * scale;
    largest = std::max(largest, scores[j]);
  }
  return largest;
}

// out = Σ_j softmax(scores)_j · value_j, summed in `sums`, (HS).
template <class Real>
void attend(Real* out, stat_t<Real>* sums, stat_t<Real>* scores, stat_t<Real> largest,
            const Real* values, std::int64_t row_stride, std::int64_t visible, std::int64_t HS) {
  using Stat = stat_t<Real>;
#pragma omp simd
  for (std::int64_t j = 0; j < visible; ++j) scores[j] = fast_exp(scores[j] - largest);
  Stat sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t j = 0; j < visible; ++j) sum += scores[j];
  std::fill_n(sums, HS, Stat{0});
  for (std::int64_t j = 0; j < visible; ++j) {
    const Real* value = values + j * row_stride;
    const Stat weight = scores[j] / sum;
#pragma omp simd
    for (std::int64_t d = 0; d < HS; ++d) sums[d] += weight * Stat(value[d]);
  }
  for (std::int64_t d = 0; d < HS; ++d) out[d] = sums[d];
}

}  // namespace

template <class Real>
void attention_decode(On<Cpu, Real>, const AttentionDecode<Real>& args) {
  const std::int64_t NH = args.NH, HS = args.HS, width = NH * HS;
  const std::int64_t entries = args.past + args.T;
  if (entries > args.capacity) cache_is_full(entries, args.capacity);
  const std::int64_t share = entries + HS;
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
      attend(args.out + row * width + head * HS, scores + entries, scores, largest,
             args.values + cache, width, visible, HS);
    }
  }
}

MASQUE_INSTANTIATE(attention_decode, AttentionDecode)

}  // namespace MASQUE_LEVEL
}  // namespace masque
