#include "kernels/attention.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "kernels/gemm_tile.h"
#include "kernels/philox.h"
#include "kernels/philox_block.h"
#include "kernels/vector_math.h"

namespace masque {
namespace {

constexpr std::int64_t kQueryRows = 32;  // scores of so many queries exist at a time, per thread

// One head of one sequence, inside qkv (B,T,3,NH,HS) and out (B,T,NH,HS).
struct Head {
  std::int64_t b, head;
  std::int64_t length;           // rows that attend
  std::int64_t qkv, qkv_stride;  // offset of q's first row, and from row to row
  std::int64_t k, v;             // offsets from q to k and v
  std::int64_t out, out_stride;
  std::int64_t lse;
};

template <class Args>
Head head_of(const Args& args, std::int64_t task) {
  const std::int64_t b = task / args.NH, head = task % args.NH;
  const std::int64_t width = args.NH * args.HS;
  Head at;
  at.b = b;
  at.head = head;
  at.length = args.lengths ? args.lengths[b] : args.T;
  at.qkv = b * args.T * 3 * width + head * args.HS;
  at.qkv_stride = 3 * width;
  at.k = width;
  at.v = 2 * width;
  at.out = b * args.T * width + head * args.HS;
  at.out_stride = width;
  at.lse = task * args.T;
  return at;
}

// One buffer for all threads, cut into pieces that start on a vector's boundary.
template <class Real>
class Scratch {
 public:
  Scratch(std::int64_t threads, std::int64_t per_thread)
      : per_thread_(round_up(per_thread, Simd<Real>::lanes)),
        memory_(std::make_unique_for_overwrite<Real[]>(threads * per_thread_ + Simd<Real>::lanes)) {
    void* start = memory_.get();
    std::size_t space = (threads * per_thread_ + Simd<Real>::lanes) * sizeof(Real);
    start_ = static_cast<Real*>(
        std::align(kVectorBytes, threads * per_thread_ * sizeof(Real), start, space));
  }
  Real* of_thread() const { return start_ + omp_get_thread_num() * per_thread_; }

 private:
  std::int64_t per_thread_;
  std::unique_ptr<Real[]> memory_;
  Real* start_;
};

// Takes pieces of a thread's scratch one after another.
template <class Real>
Real* take(Real*& free, std::int64_t count) {
  Real* piece = free;
  free += round_up(count, Simd<Real>::lanes);
  return piece;
}

// Row to row in a block of scores: room for whole panels, and never a multiple of a page, or the
// rows would share cache sets.
template <class Real>
std::int64_t score_stride(std::int64_t T) {
  return round_up(T, Simd<Real>::panel) + Simd<Real>::lanes;
}

template <class Real>
std::int64_t padded(std::int64_t HS) {
  return round_up(HS, Simd<Real>::lanes);
}

constexpr int kCounters = 16;  // a block of random words: four of each counter

// The random words of the weights of query i; word j decides on key j. Fills `words` by whole
// blocks.
template <class Args>
const std::uint32_t* draw_words(const Args& args, const Head& at, std::int64_t i,
                                std::int64_t visible, std::uint32_t* words) {
  const std::int64_t first = (at.head * args.T + i) * args.T, offset = first % 4;
  const std::uint32_t row = args.state->first_row + static_cast<std::uint32_t>(at.b);
  for (std::int64_t block = 0; block < offset + visible; block += 4 * kCounters) {
    philox_block<kCounters>(args.state->seed, args.stream, args.state->step, row,
                            static_cast<std::uint32_t>((first + block) / 4), words + block);
  }
  return words + offset;
}

// The largest of `count` values, a multiple of the vector's lanes. Clang does not vectorise the
// plain loop, which must mind NaN.
template <class Real>
Real maximum(const Real* values, std::int64_t count) {
  using Vector = typename Simd<Real>::Vector;
  constexpr std::int64_t lanes = Simd<Real>::lanes;
  Vector largest = Vector{} - std::numeric_limits<Real>::infinity();
  for (std::int64_t j = 0; j < count; j += lanes) {
    const Vector next = *reinterpret_cast<const typename Simd<Real>::Stored*>(values + j);
    largest = next > largest ? next : largest;
  }
  Real lane[lanes];
  std::memcpy(lane, &largest, sizeof(lane));
  for (std::int64_t half = lanes / 2; half > 0; half /= 2) {
    for (std::int64_t n = 0; n < half; ++n) lane[n] = std::max(lane[n], lane[n + half]);
  }
  return lane[0];
}

// scores[0 … visible) become exp(scale·(score − largest)), the rest up to `end` 0. Returns their
// sum, and the log-sum-exp of the scaled scores through `lse`.
template <class Real>
Real exponentiate(Real* scores, std::int64_t visible, std::int64_t end, Real scale,
                  stat_t<Real>* lse) {
  const std::int64_t whole = round_up(visible, Simd<Real>::lanes);
  std::fill(scores + visible, scores + whole, -std::numeric_limits<Real>::infinity());
  const Real largest = maximum(scores, whole);
  for (std::int64_t j = 0; j < whole; ++j) scores[j] = fast_exp((scores[j] - largest) * scale);
  Real sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t j = 0; j < whole; ++j) sum += scores[j];
  if (whole < end) std::fill(scores + whole, scores + end, Real{0});
  *lse = largest * scale + std::log(sum);
  return sum;
}

template <class Real>
void forward_head(const AttentionForward<Real>& args, const Head& at, Real* scratch,
                  std::uint32_t* words) {
  const std::int64_t HS = args.HS, length = at.length, stride = score_stride<Real>(args.T);
  const Real scale = 1 / std::sqrt(static_cast<Real>(HS));
  const Real kept = static_cast<Real>(1 / (1 - args.p));
  const auto below = static_cast<std::uint32_t>(threshold(args.p));
  const Real* q = args.qkv + at.qkv;
  Real* keys = take(scratch, packed_size<Real>(HS, args.T));
  Real* values = take(scratch, packed_size<Real>(args.T, HS));
  Real* scores = take(scratch, kQueryRows * stride);
  Real* sums = take(scratch, kQueryRows * padded<Real>(HS));
  pack_panels(keys, q + at.k, 1, at.qkv_stride, HS, length);
  pack_panels(values, q + at.v, at.qkv_stride, 1, length, HS);

  for (std::int64_t i0 = 0; i0 < length; i0 += kQueryRows) {
    const std::int64_t rows = std::min(kQueryRows, length - i0);
    const std::int64_t end = args.causal ? i0 + rows : length;
    multiply_packed<Real>(scores, stride, {q + i0 * at.qkv_stride, at.qkv_stride, 1},
                          {keys, HS, length}, rows, end, HS, false);
    Real factors[kQueryRows];
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t i = i0 + row, visible = args.causal ? i + 1 : length;
      Real* weights = scores + row * stride;
      factors[row] = 1 / exponentiate(weights, visible, end, scale, args.lse + at.lse + i);
      if (args.p > 0) {
        factors[row] *= kept;
        const std::uint32_t* word = draw_words(args, at, i, visible, words);
#pragma omp simd
        for (std::int64_t j = 0; j < visible; ++j) weights[j] = word[j] < below ? 0 : weights[j];
      }
    }
    multiply_packed<Real>(sums, padded<Real>(HS), {scores, stride, 1}, {values, length, HS}, rows,
                          HS, end, false);
    for (std::int64_t row = 0; row < rows; ++row) {
      Real* out = args.out + at.out + (i0 + row) * at.out_stride;
      const Real* sum = sums + row * padded<Real>(HS);
      for (std::int64_t d = 0; d < HS; ++d) out[d] = sum[d] * factors[row];
    }
  }
  for (std::int64_t i = length; i < args.T; ++i) {
    std::fill_n(args.out + at.out + i * at.out_stride, HS, Real{0});
    args.lse[at.lse + i] = 0;
  }
}

// From the scores of query i and dout_i·v_j to keep·P/(1 − p), in `scores`, and to the gradient of
// the scaled scores, in `dweights`; both 0 from `visible` up to `end`.
template <class Real>
void backward_row(const AttentionBackward<Real>& args, const Head& at, std::int64_t i,
                  std::int64_t end, Real scale, Real* scores, Real* dweights,
                  std::uint32_t* words) {
  const std::int64_t visible = args.causal ? i + 1 : at.length;
  const std::int64_t whole = round_up(visible, Simd<Real>::lanes);
  const Real* out = args.out + at.out + i * at.out_stride;
  const Real* dout = args.dout + at.out + i * at.out_stride;
  const Real lse = args.lse[at.lse + i];
  Real delta = 0;  // Σ_j P_ij ∂loss/∂P_ij
#pragma omp simd reduction(+ : delta)
  for (std::int64_t d = 0; d < args.HS; ++d) delta += out[d] * dout[d];
  std::fill(scores + visible, scores + whole, -std::numeric_limits<Real>::infinity());
  std::fill(dweights + visible, dweights + whole, Real{0});
  // Not marked `omp simd`: the compiler vectorises it in f32, and cannot in f64 (std::exp).
  for (std::int64_t j = 0; j < whole; ++j) scores[j] = fast_exp(scores[j] * scale - lse);
  if (args.p > 0) {
    const Real kept = static_cast<Real>(1 / (1 - args.p));
    const auto below = static_cast<std::uint32_t>(threshold(args.p));
    const std::uint32_t* word = draw_words(args, at, i, whole, words);
#pragma omp simd
    for (std::int64_t j = 0; j < whole; ++j) {
      const Real keep = word[j] < below ? 0 : kept;
      dweights[j] = scores[j] * (dweights[j] * keep - delta);
      scores[j] *= keep;
    }
  } else {
#pragma omp simd
    for (std::int64_t j = 0; j < whole; ++j) dweights[j] = scores[j] * (dweights[j] - delta);
  }
  if (whole < end) {
    std::fill(scores + whole, scores + end, Real{0});
    std::fill(dweights + whole, dweights + end, Real{0});
  }
}

// Writes rows of a gradient, times `scale`, into dqkv.
template <class Real>
void write_rows(Real* to, std::int64_t to_stride, const Real* from, std::int64_t rows,
                std::int64_t HS, Real scale) {
  for (std::int64_t row = 0; row < rows; ++row) {
    const Real* gradient = from + row * padded<Real>(HS);
    for (std::int64_t d = 0; d < HS; ++d) to[row * to_stride + d] = gradient[d] * scale;
  }
}

template <class Real>
std::int64_t backward_scratch(std::int64_t T, std::int64_t HS) {
  return 2 * packed_size<Real>(HS, T) + 3 * packed_size<Real>(T, HS) +
         2 * kQueryRows * score_stride<Real>(T) + 3 * packed_size<Real>(kQueryRows, HS);
}

template <class Real>
void backward_head(const AttentionBackward<Real>& args, const Head& at, Real* scratch,
                   std::uint32_t* words) {
  const std::int64_t HS = args.HS, length = at.length, stride = score_stride<Real>(args.T);
  const std::int64_t width = padded<Real>(HS);
  const Real scale = 1 / std::sqrt(static_cast<Real>(HS));
  const Real* q = args.qkv + at.qkv;
  const Real* dout = args.dout + at.out;
  Real* dq = args.dqkv + at.qkv;
  Real* keys_across = take(scratch, packed_size<Real>(HS, args.T));    // (HS, length)
  Real* values_across = take(scratch, packed_size<Real>(HS, args.T));  // (HS, length)
  Real* keys = take(scratch, packed_size<Real>(args.T, HS));           // (length, HS)
  Real* dkeys = take(scratch, args.T * width);
  Real* dvalues = take(scratch, args.T * width);
  Real* scores = take(scratch, kQueryRows * stride);
  Real* dweights = take(scratch, kQueryRows * stride);
  Real* queries = take(scratch, kQueryRows * width);
  Real* douts = take(scratch, kQueryRows * width);
  Real* dqueries = take(scratch, kQueryRows * width);
  pack_panels(keys_across, q + at.k, 1, at.qkv_stride, HS, length);
  pack_panels(values_across, q + at.v, 1, at.qkv_stride, HS, length);
  pack_panels(keys, q + at.k, at.qkv_stride, 1, length, HS);
  std::fill_n(dkeys, length * width, Real{0});
  std::fill_n(dvalues, length * width, Real{0});

  for (std::int64_t i0 = 0; i0 < length; i0 += kQueryRows) {
    const std::int64_t rows = std::min(kQueryRows, length - i0);
    const std::int64_t end = args.causal ? i0 + rows : length;
    const Real* tile_q = q + i0 * at.qkv_stride;
    const Real* tile_dout = dout + i0 * at.out_stride;
    multiply_packed<Real>(scores, stride, {tile_q, at.qkv_stride, 1}, {keys_across, HS, length},
                          rows, end, HS, false);
    multiply_packed<Real>(dweights, stride, {tile_dout, at.out_stride, 1},
                          {values_across, HS, length}, rows, end, HS, false);
    for (std::int64_t row = 0; row < rows; ++row) {
      backward_row(args, at, i0 + row, end, scale, scores + row * stride, dweights + row * stride,
                   words);
    }
    pack_panels(queries, tile_q, at.qkv_stride, 1, rows, HS);
    pack_panels(douts, tile_dout, at.out_stride, 1, rows, HS);
    multiply_packed<Real>(dvalues, width, {scores, 1, stride}, {douts, rows, HS}, end, HS, rows,
                          true);
    multiply_packed<Real>(dkeys, width, {dweights, 1, stride}, {queries, rows, HS}, end, HS, rows,
                          true);
    multiply_packed<Real>(dqueries, width, {dweights, stride, 1}, {keys, length, HS}, rows, HS, end,
                          false);
    write_rows(dq + i0 * at.qkv_stride, at.qkv_stride, dqueries, rows, HS, scale);
  }
  write_rows(dq + at.k, at.qkv_stride, dkeys, length, HS, scale);
  write_rows(dq + at.v, at.qkv_stride, dvalues, length, HS, Real{1});
  for (std::int64_t i = length; i < args.T; ++i) {
    Real* row = dq + i * at.qkv_stride;
    for (Real* part : {row, row + at.k, row + at.v}) std::fill_n(part, HS, Real{0});
  }
}

// Runs `head` for each head of each sequence, on all threads.
template <class Real, class Args, class Function>
void for_each_head(const Args& args, std::int64_t scratch_size, const Function& head) {
  const std::int64_t threads = omp_get_max_threads();
  const std::int64_t words_size = args.p > 0 ? round_up(args.T, 4 * kCounters) + 4 * kCounters : 0;
  const Scratch<Real> scratch(threads, scratch_size);
  const auto words = std::make_unique_for_overwrite<std::uint32_t[]>(threads * words_size);
#pragma omp parallel for schedule(dynamic)
  for (std::int64_t task = 0; task < args.B * args.NH; ++task) {
    head(args, head_of(args, task), scratch.of_thread(),
         words.get() + omp_get_thread_num() * words_size);
  }
}

}  // namespace

template <class Real>
void attention_forward(On<Cpu, Real>, const AttentionForward<Real>& args) {
  const std::int64_t size = packed_size<Real>(args.HS, args.T) +
                            packed_size<Real>(args.T, args.HS) +
                            kQueryRows * (score_stride<Real>(args.T) + padded<Real>(args.HS));
  for_each_head<Real>(args, size, forward_head<Real>);
}

template <class Real>
void attention_backward(On<Cpu, Real>, const AttentionBackward<Real>& args) {
  for_each_head<Real>(args, backward_scratch<Real>(args.T, args.HS), backward_head<Real>);
}

template void attention_forward<float>(On<Cpu, float>, const AttentionForward<float>&);
template void attention_forward<double>(On<Cpu, double>, const AttentionForward<double>&);
template void attention_backward<float>(On<Cpu, float>, const AttentionBackward<float>&);
template void attention_backward<double>(On<Cpu, double>, const AttentionBackward<double>&);

}  // namespace masque
