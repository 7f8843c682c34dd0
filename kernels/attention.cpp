#include "kernels/attention.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <type_traits>

#include "kernels/fold.h"
#include "kernels/level.h"
#include "kernels/philox.h"
#include "kernels/philox_block.h"
#include "kernels/product.h"
#include "kernels/row_parts.h"
#include "kernels/scratch.h"
#include "kernels/vector_math.h"

namespace masque {
namespace MASQUE_LEVEL {
namespace {

constexpr std::int64_t kQueryRows =
    kTiled<BfPair> ? 64 : 48;  // scores of so many queries exist at a time, per thread

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

// Takes pieces of a thread's scratch one after another, each on a line of the cache; without a
// start it counts them.
class Pieces {
 public:
  explicit Pieces(std::byte* start) : start_(start) {}

  template <class Value>
  Value* take(std::int64_t count) {
    std::byte* piece = start_ == nullptr ? nullptr : start_ + size_;
    size_ += round_up(count * static_cast<std::int64_t>(sizeof(Value)), 64);
    return reinterpret_cast<Value*>(piece);
  }
  std::int64_t size() const { return size_; }

 private:
  std::byte* start_;
  std::int64_t size_ = 0;
};

// Row to row in a block of scores: room for whole panels, and never a multiple of a page, or the
// rows would share cache sets.
template <class Sum>
std::int64_t score_stride(std::int64_t T) {
  return round_up(T, Simd<Sum>::panel) + Simd<Sum>::lanes;
}

// What scores become, as products take it: rounded at once where that is pairs of bf16, else in the
// place of the scores.
template <class Real>
constexpr bool kRounded = kUnitDepth<unit_t<Real>> == 2;
template <class Real>
using weight_t = std::conditional_t<kRounded<Real>, bf16, sum_t<Real>>;

template <class Real>
std::int64_t weight_stride(std::int64_t T) {
  using Sum = sum_t<Real>;
  return kRounded<Real> ? 2 * row_units<unit_t<Real>>(round_up(T, Simd<Sum>::lanes))
                        : score_stride<Sum>(T);
}

template <class Real>
weight_t<Real>* weights_beside(Pieces& pieces, sum_t<Real>* scores, std::int64_t T) {
  if constexpr (kRounded<Real>) {
    return pieces.take<bf16>(kQueryRows * weight_stride<Real>(T));
  } else {
    return scores;
  }
}

template <class Sum>
std::int64_t padded(std::int64_t HS) {
  return round_up(HS, Simd<Sum>::lanes);
}

constexpr int kCounters = 16;  // a block of random words: four of each counter

std::int64_t words_of_a_row(std::int64_t T) {
  return round_up(T, 4 * kCounters) + 4 * kCounters;
}

// What dropout makes of each weight of query i: 0, or `kept`; word j decides on key j. Fills
// `words` by whole blocks.
template <class Sum, class Args>
void draw_factors(Sum* factors, Sum kept, const Args& args, const Head& at, std::int64_t i,
                  std::int64_t count, std::uint32_t* words) {
  const std::int64_t first = (at.head * args.T + i) * args.T, offset = first % 4;
  const std::uint32_t row = args.state->first_row + static_cast<std::uint32_t>(at.b);
  for (std::int64_t block = 0; block < offset + count; block += 4 * kCounters) {
    philox_block<kCounters>(args.state->seed, args.stream, args.state->step, row,
                            static_cast<std::uint32_t>((first + block) / 4), words + block);
  }
  const auto below = static_cast<std::uint32_t>(threshold(args.p));
#pragma omp simd
  for (std::int64_t j = 0; j < count; ++j) factors[j] = words[offset + j] < below ? 0 : kept;
}

// By lane, the largest of `count` values, a multiple of the lanes. Clang does not vectorise a plain
// loop, which must mind NaN.
template <class Sum>
typename Simd<Sum>::Vector maximum(const Sum* values, std::int64_t count) {
  using Vector = typename Simd<Sum>::Vector;
  Vector largest = Vector{} - std::numeric_limits<Sum>::infinity();
  for (std::int64_t j = 0; j < count; j += Simd<Sum>::lanes) {
    const Vector next = *reinterpret_cast<const typename Simd<Sum>::Stored*>(values + j);
    largest = next > largest ? next : largest;
  }
  return largest;
}

// Rows of scores, at most as many as a vector has lanes. Row r, of which `visible` are seen, or
// `visible` + r where causal, becomes weights: exp(scale·(score − largest)) there, times keep_of(r,
// count) where that is given, and 0 from there to `end`; factors, 1 over its sum; lse, the
// log-sum-exp of its scaled scores.
template <class Weight, class Sum, class KeepOf>
void exponentiate(Weight* weights, std::int64_t weight_stride, Sum* scores, std::int64_t stride,
                  std::int64_t rows, std::int64_t visible, bool causal, std::int64_t end, Sum scale,
                  Sum* lse, Sum* factors, const KeepOf& keep_of) {
  constexpr std::int64_t lanes = Simd<Sum>::lanes;
  typename Simd<Sum>::Vector each[lanes] = {};
  const auto seen = [&](std::int64_t row) { return visible + (causal ? row : 0); };
  for (std::int64_t row = 0; row < rows; ++row) {
    Sum* const from = scores + row * stride;
    const std::int64_t whole = round_up(seen(row), lanes);
    std::fill(from + seen(row), from + whole, -std::numeric_limits<Sum>::infinity());
    each[row] = maximum(from, whole);
  }
  Sum shifts[lanes], sums[lanes];
  const typename Simd<Sum>::Vector scaled = maxima_of<Sum>(each) * scale;
  std::memcpy(shifts, &scaled, sizeof(shifts));
  for (std::int64_t row = 0; row < rows; ++row) {
    Weight* const to = weights + row * weight_stride;
    const std::int64_t whole = round_up(seen(row), lanes);
    each[row] = exp_row(to, scores + row * stride, whole, scale, shifts[row], keep_of(row, whole));
    if (whole < end) std::fill(to + whole, to + end, Weight(0));
  }
  const typename Simd<Sum>::Vector summed = sums_of<Sum>(each);
  std::memcpy(sums, &summed, sizeof(sums));
  for (std::int64_t row = 0; row < rows; ++row) {
    factors[row] = 1 / sums[row];
    lse[row] = shifts[row] + std::log(sums[row]);
  }
}

template <class Real>
void write_row(Real* to, const sum_t<Real>* from, std::int64_t HS, sum_t<Real> factor) {
  for_parts<sum_t<Real>>(HS, [&](const auto& part) { part.store(to, part.load(from) * factor); });
}

template <class Real>
struct ForwardRoom {
  using Unit = unit_t<Real>;
  using Sum = sum_t<Real>;

  ForwardRoom(Pieces& pieces, std::int64_t T, std::int64_t HS)
      : keys(pieces.take<Unit>(packed_size<Unit>(HS, T))),
        values(pieces.take<Unit>(packed_size<Unit>(T, HS))),
        scores(pieces.take<Sum>(kQueryRows * score_stride<Sum>(T))),
        weights(weights_beside<Real>(pieces, scores, T)),
        sums(pieces.take<Sum>(kQueryRows * padded<Sum>(HS))),
        query_rows(pieces.take<Unit>(rows_size<Unit>(kQueryRows, HS))),
        weight_rows(pieces.take<Unit>(rows_size<Unit>(kQueryRows, T))),
        keep(pieces.take<Sum>(score_stride<Sum>(T))),
        words(pieces.take<std::uint32_t>(words_of_a_row(T))) {}

  Unit *keys, *values;  // (HS, length), (length, HS)
  Sum* scores;
  weight_t<Real>* weights;
  Sum* sums;
  Unit *query_rows, *weight_rows;
  Sum* keep;  // of a row
  std::uint32_t* words;
};

template <class Real>
void forward_head(const AttentionForward<Real>& args, const Head& at,
                  const ForwardRoom<Real>& room) {
  using Unit = unit_t<Real>;
  using Sum = sum_t<Real>;
  const std::int64_t T = args.T, HS = args.HS, length = at.length, stride = score_stride<Sum>(T);
  const Sum scale = 1 / std::sqrt(static_cast<Sum>(HS));
  const Sum kept = static_cast<Sum>(1 / (1 - args.p));
  const std::int64_t weights_apart = weight_stride<Real>(T);
  const Real* q = args.qkv + at.qkv;
  Sum *const scores = room.scores, *const sums = room.sums;
  pack_panels(room.keys, Strided<Real>{q + at.k, 1, at.qkv_stride}, HS, length);
  pack_panels(room.values, Strided<Real>{q + at.v, at.qkv_stride, 1}, length, HS);

  for (std::int64_t i0 = 0; i0 < length; i0 += kQueryRows) {
    const std::int64_t rows = std::min(kQueryRows, length - i0);
    const std::int64_t end = args.causal ? i0 + rows : length;
    const Strided<Real> queries{q + i0 * at.qkv_stride, at.qkv_stride, 1};
    multiply_packed(scores, stride, as_rows(room.query_rows, queries, rows, HS),
                    Panels<Unit>{room.keys, HS, length}, rows, end, HS, false);
    Sum factors[kQueryRows];
    for (std::int64_t row = 0; row < rows; row += Simd<Sum>::lanes) {
      const std::int64_t i = i0 + row, here = std::min(Simd<Sum>::lanes, rows - row);
      const std::int64_t visible = args.causal ? i + 1 : length;
      const auto keep_of = [&](std::int64_t r, std::int64_t count) -> const Sum* {
        if (args.p <= 0) return nullptr;
        draw_factors(room.keep, Sum{1}, args, at, i + r, count, room.words);
        return room.keep;
      };
      exponentiate(room.weights + row * weights_apart, weights_apart, scores + row * stride, stride,
                   here, visible, args.causal, end, scale, args.lse + at.lse + i, factors + row,
                   keep_of);
    }
    const Strided<weight_t<Real>> weights{room.weights, weights_apart, 1};
    multiply_packed(sums, padded<Sum>(HS), as_rows(room.weight_rows, weights, rows, end),
                    Panels<Unit>{room.values, length, HS}, rows, HS, end, false);
    for (std::int64_t row = 0; row < rows; ++row) {
      Real* out = args.out + at.out + (i0 + row) * at.out_stride;
      write_row(out, sums + row * padded<Sum>(HS), HS, factors[row] * kept);
    }
  }
  for (std::int64_t i = length; i < T; ++i) {
    std::fill_n(args.out + at.out + i * at.out_stride, HS, Real(0));
    args.lse[at.lse + i] = 0;
  }
}

// From the scores of query i and dweights, dout_i·v_j, to weights, keep·P/(1 − p), and dscores, the
// gradient of the scaled scores; both 0 from `visible` up to `end`.
template <class Real>
void backward_row(const AttentionBackward<Real>& args, const Head& at, std::int64_t i,
                  std::int64_t end, sum_t<Real> scale, sum_t<Real>* scores, sum_t<Real>* dweights,
                  weight_t<Real>* weights, weight_t<Real>* dscores, sum_t<Real>* keep,
                  std::uint32_t* words) {
  using Sum = sum_t<Real>;
  const std::int64_t visible = args.causal ? i + 1 : at.length;
  const std::int64_t whole = round_up(visible, Simd<Sum>::lanes);
  const Real* out = args.out + at.out + i * at.out_stride;
  const Real* dout = args.dout + at.out + i * at.out_stride;
  const Sum lse = args.lse[at.lse + i];
  VectorOf<Sum> products = {};
  for_parts<Sum>(args.HS, [&](const auto& part) { products += part.load(out) * part.load(dout); });
  const Sum delta = sum_of<Sum>(products);  // Σ_j P_ij ∂loss/∂P_ij
  std::fill(scores + visible, scores + whole, -std::numeric_limits<Sum>::infinity());
  std::fill(dweights + visible, dweights + whole, Sum{0});
  if (args.p > 0) {
    draw_factors(keep, static_cast<Sum>(1 / (1 - args.p)), args, at, i, whole, words);
  }
  for_parts<Sum>(whole, [&](const auto& part) {
    VectorOf<Sum> weight = fast_exp<Sum>(part.load(scores) * scale - lse);
    VectorOf<Sum> dweight = part.load(dweights);
    if (args.p > 0) dweight *= part.load(keep);
    part.store(dscores, weight * (dweight - delta));
    if (args.p > 0) weight *= part.load(keep);
    part.store(weights, weight);
  });
  if (whole < end) {
    std::fill(weights + whole, weights + end, weight_t<Real>(0));
    std::fill(dscores + whole, dscores + end, weight_t<Real>(0));
  }
}

// Writes rows of a gradient, times `scale`, into dqkv.
template <class Real>
void write_rows(Real* to, std::int64_t to_stride, const sum_t<Real>* from, std::int64_t rows,
                std::int64_t HS, sum_t<Real> scale) {
  for (std::int64_t row = 0; row < rows; ++row) {
    write_row(to + row * to_stride, from + row * padded<sum_t<Real>>(HS), HS, scale);
  }
}

template <class Real>
struct BackwardRoom {
  using Unit = unit_t<Real>;
  using Sum = sum_t<Real>;

  BackwardRoom(Pieces& pieces, std::int64_t T, std::int64_t HS)
      : keys_across(pieces.take<Unit>(packed_size<Unit>(HS, T))),
        values_across(pieces.take<Unit>(packed_size<Unit>(HS, T))),
        keys(pieces.take<Unit>(packed_size<Unit>(T, HS))),
        dkeys(pieces.take<Sum>(round_up(T, kTileSide) * padded<Sum>(HS))),
        dvalues(pieces.take<Sum>(round_up(T, kTileSide) * padded<Sum>(HS))),
        scores(pieces.take<Sum>(kQueryRows * score_stride<Sum>(T))),
        dweights(pieces.take<Sum>(kQueryRows * score_stride<Sum>(T))),
        weights(weights_beside<Real>(pieces, scores, T)),
        dscores(weights_beside<Real>(pieces, dweights, T)),
        queries(pieces.take<Unit>(packed_size<Unit>(kQueryRows, HS))),
        douts(pieces.take<Unit>(packed_size<Unit>(kQueryRows, HS))),
        dqueries(pieces.take<Sum>(kQueryRows * padded<Sum>(HS))),
        head_rows(pieces.take<Unit>(rows_size<Unit>(kQueryRows, HS))),
        score_rows(pieces.take<Unit>(rows_size<Unit>(kQueryRows, T))),
        score_columns(pieces.take<Unit>(rows_size<Unit>(T, kQueryRows))),
        keep(pieces.take<Sum>(score_stride<Sum>(T))),
        words(pieces.take<std::uint32_t>(words_of_a_row(T))) {}

  Unit *keys_across, *values_across;  // (HS, length)
  Unit* keys;                         // (length, HS)
  Sum *dkeys, *dvalues;
  Sum *scores, *dweights;
  weight_t<Real>*weights, *dscores;
  Unit *queries, *douts;
  Sum* dqueries;
  Unit* head_rows;      // of q or dout
  Unit* score_rows;     // of dscores
  Unit* score_columns;  // of weights or dscores
  Sum* keep;            // of a row
  std::uint32_t* words;
};

template <class Real>
void backward_head(const AttentionBackward<Real>& args, const Head& at,
                   const BackwardRoom<Real>& room) {
  using Unit = unit_t<Real>;
  using Sum = sum_t<Real>;
  using Weight = weight_t<Real>;
  const std::int64_t T = args.T, HS = args.HS, length = at.length, stride = score_stride<Sum>(T);
  const std::int64_t width = padded<Sum>(HS), T_up = round_up(T, kTileSide);
  const std::int64_t weights_apart = weight_stride<Real>(T);
  const Sum scale = 1 / std::sqrt(static_cast<Sum>(HS));
  const Real* q = args.qkv + at.qkv;
  const Real* dout = args.dout + at.out;
  Real* dq = args.dqkv + at.qkv;
  Sum *const scores = room.scores, *const dweights = room.dweights;
  Sum *const dkeys = room.dkeys, *const dvalues = room.dvalues, *const dqueries = room.dqueries;
  pack_panels(room.keys_across, Strided<Real>{q + at.k, 1, at.qkv_stride}, HS, length);
  pack_panels(room.values_across, Strided<Real>{q + at.v, 1, at.qkv_stride}, HS, length);
  pack_panels(room.keys, Strided<Real>{q + at.k, at.qkv_stride, 1}, length, HS);
  std::fill_n(dkeys, T_up * width, Sum{0});
  std::fill_n(dvalues, T_up * width, Sum{0});

  for (std::int64_t i0 = 0; i0 < length; i0 += kQueryRows) {
    const std::int64_t rows = std::min(kQueryRows, length - i0);
    const std::int64_t end = args.causal ? i0 + rows : length;
    const Strided<Real> tile_q{q + i0 * at.qkv_stride, at.qkv_stride, 1};
    const Strided<Real> tile_dout{dout + i0 * at.out_stride, at.out_stride, 1};
    multiply_packed(scores, stride, as_rows(room.head_rows, tile_q, rows, HS),
                    Panels<Unit>{room.keys_across, HS, length}, rows, end, HS, false);
    multiply_packed(dweights, stride, as_rows(room.head_rows, tile_dout, rows, HS),
                    Panels<Unit>{room.values_across, HS, length}, rows, end, HS, false);
    for (std::int64_t row = 0; row < rows; ++row) {
      backward_row(args, at, i0 + row, end, scale, scores + row * stride, dweights + row * stride,
                   room.weights + row * weights_apart, room.dscores + row * weights_apart,
                   room.keep, room.words);
    }
    pack_panels(room.queries, tile_q, rows, HS);
    pack_panels(room.douts, tile_dout, rows, HS);
    multiply_packed(
        dvalues, width,
        as_rows(room.score_columns, Strided<Weight>{room.weights, 1, weights_apart}, end, rows),
        Panels<Unit>{room.douts, rows, HS}, end, HS, rows, true);
    multiply_packed(
        dkeys, width,
        as_rows(room.score_columns, Strided<Weight>{room.dscores, 1, weights_apart}, end, rows),
        Panels<Unit>{room.queries, rows, HS}, end, HS, rows, true);
    multiply_packed(
        dqueries, width,
        as_rows(room.score_rows, Strided<Weight>{room.dscores, weights_apart, 1}, rows, end),
        Panels<Unit>{room.keys, length, HS}, rows, HS, end, false);
    write_rows(dq + i0 * at.qkv_stride, at.qkv_stride, dqueries, rows, HS, scale);
  }
  write_rows(dq + at.k, at.qkv_stride, dkeys, length, HS, scale);
  write_rows(dq + at.v, at.qkv_stride, dvalues, length, HS, Sum{1});
  for (std::int64_t i = length; i < T; ++i) {
    Real* row = dq + i * at.qkv_stride;
    for (Real* part : {row, row + at.k, row + at.v}) std::fill_n(part, HS, Real(0));
  }
}

// Runs `head` for each head of each sequence, on all threads, each with a Room of its own.
template <class Room, class Args, class Function>
void for_each_head(const Args& args, const Function& head) {
  Pieces counted(nullptr);
  Room(counted, args.T, args.HS);
  const std::int64_t share = counted.size();
  std::byte* const start = scratch(Scratch::attention, omp_get_max_threads() * share);
#pragma omp parallel
  {
    [[maybe_unused]] const Tiles tiles;
    Pieces pieces(start + omp_get_thread_num() * share);
    const Room room(pieces, args.T, args.HS);
#pragma omp for schedule(static)
    for (std::int64_t task = 0; task < args.B * args.NH; ++task) {
      head(args, head_of(args, task), room);
    }
  }
}

}  // namespace

template <class Real>
void attention_forward(On<Cpu, Real>, const AttentionForward<Real>& args) {
  for_each_head<ForwardRoom<Real>>(args, forward_head<Real>);
}

template <class Real>
void attention_backward(On<Cpu, Real>, const AttentionBackward<Real>& args) {
  for_each_head<BackwardRoom<Real>>(args, backward_head<Real>);
}

MASQUE_INSTANTIATE(attention_forward, AttentionForward)
MASQUE_INSTANTIATE(attention_backward, AttentionBackward)

}  // namespace MASQUE_LEVEL
}  // namespace masque
