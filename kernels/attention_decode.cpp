#include "kernels/attention_decode.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>

#include "kernels/vector_math.h"

namespace masque {
namespace {

// Scores of one query against its visible keys, and their largest.
template <class Real>
Real score_keys(Real* scores, const Real* query, const Real* keys, std::int64_t row_stride,
                std::int64_t visible, std::int64_t HS) {
  const Real scale = 1 / std::sqrt(static_cast<Real>(HS));
  Real largest = -std::numeric_limits<Real>::infinity();
  for (std::int64_t j = 0; j < visible; ++j) {
    const Real* key = keys + j * row_stride;
    Real dot = 0;
#pragma omp simd reduction(+ : dot)
    for (std::int64_t d = 0; d < HS; ++d) dot += query[d] * key[d];
    scores[j] = dot * scale;
    largest = std::max(largest, scores[j]);
  }
  return largest;
}

template <class Real>
void attend(Real* out, Real* scores, Real largest, const Real* values, std::int64_t row_stride,
            std::int64_t visible, std::int64_t HS) {
  for (std::int64_t j = 0; j < visible; ++j) scores[j] = fast_exp(scores[j] - largest);
  Real sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t j = 0; j < visible; ++j) sum += scores[j];
  std::fill_n(out, HS, Real{0});
  for (std::int64_t j = 0; j < visible; ++j) {
    const Real* value = values + j * row_stride;
    const Real weight = scores[j] / sum;
#pragma omp simd
    for (std::int64_t d = 0; d < HS; ++d) out[d] += weight * value[d];
  }
}

}  // namespace

template <class Real>
void attention_decode(On<Cpu, Real>, const AttentionDecode<Real>& args) {
  const std::int64_t NH = args.NH, HS = args.HS, width = NH * HS;
  const std::int64_t entries = args.past + args.T;
  if (entries > args.capacity) {
    throw Error("attention_decode: " + std::to_string(entries) +
                " positions do not fit a cache of " + std::to_string(args.capacity));
  }
  const auto scratch = std::make_unique_for_overwrite<Real[]>(omp_get_max_threads() * entries);
#pragma omp parallel
  {
#pragma omp for schedule(static)
    for (std::int64_t row = 0; row < args.B * args.T; ++row) {
      const std::int64_t b = row / args.T, t = row % args.T;
      const std::int64_t entry = (b * args.capacity + args.past + t) * width;
      std::copy_n(args.qkv + (row * 3 + 1) * width, width, args.keys + entry);
      std::copy_n(args.qkv + (row * 3 + 2) * width, width, args.values + entry);
    }
    Real* scores = scratch.get() + omp_get_thread_num() * entries;
#pragma omp for schedule(static)
    for (std::int64_t task = 0; task < args.B * args.T * NH; ++task) {
      const std::int64_t row = task / NH, head = task % NH;
      const std::int64_t b = row / args.T, t = row % args.T;
      const std::int64_t visible = args.past + t + 1;
      const std::int64_t cache = b * args.capacity * width + head * HS;
      const Real largest = score_keys(scores, args.qkv + row * 3 * width + head * HS,
                                      args.keys + cache, width, visible, HS);
      attend(args.out + row * width + head * HS, scores, largest, args.values + cache, width,
             visible, HS);
    }
  }
}

template void attention_decode<float>(On<Cpu, float>, const AttentionDecode<float>&);
template void attention_decode<double>(On<Cpu, double>, const AttentionDecode<double>&);

}  // namespace masque
