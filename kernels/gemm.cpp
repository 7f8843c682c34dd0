#include "kernels/gemm.h"

#include <omp.h>

#include <algorithm>
#include <type_traits>

#include "kernels/gemm_parts.h"
#include "kernels/gemm_tiles.h"
#include "kernels/level.h"
#include "kernels/scratch.h"
#include "kernels/thin_product.h"

namespace masque {
namespace MASQUE_LEVEL {
namespace {

constexpr std::int64_t kTall = 512;     // rows of C from which it is cut by rows alone
constexpr std::int64_t kDepth = 256;    // units of the sum at a time: a panel of them stays in L1
constexpr std::int64_t kThinRows = 16;  // of A up to which packing B costs more than it saves

// The panels p of B, (K, N), from `packed` on.
template <class Unit, class Real>
void pack_share(Unit* packed, const Strided<Real>& b, std::int64_t K, std::int64_t N,
                std::int64_t p) {
  const std::int64_t n = p * Simd<Unit>::panel;
  pack_panel(packed + n * depth_of<Unit>(K), b, K, N, n, panel_width<Unit>(N, n));
}

// Columns of a task where C is cut across: a quarter, in whole panels.
template <class Unit>
std::int64_t quarter_of(std::int64_t N) {
  constexpr std::int64_t panel = Simd<Unit>::panel;
  return std::max(2 * panel, round_up((N + 3) / 4, panel));
}

// Activations: B is packed once, a task packs its rows of A (reading them where they lie, in six
// streams, took longer in a step). A C narrower than the sums is finished in one go, so that it is
// rounded once.
template <class Real, class Out>
void multiply_rows(const Gemm<Real>& args, Out* c) {
  using Unit = unit_t<Real>;
  constexpr std::int64_t panel = Simd<Unit>::panel;
  constexpr bool one_go = !std::is_same_v<Out, sum_t<Real>>;
  const std::int64_t M = args.M, N = args.N, K = args.K, stored = depth_of<Unit>(K);
  const std::int64_t depth = one_go ? std::max(K, kDepth) : kDepth * kUnitDepth<Unit>;
  // Few rows are cut across too, at the price of packing them again.
  const std::int64_t across = M >= kTall ? round_up(N, panel) : quarter_of<Unit>(N);
  const Blocks blocks(M, N, M >= 4 * kTall ? 128 : 48, across);
  const std::int64_t panels = (N + panel - 1) / panel;
  const std::int64_t share = rows_size<Unit>(round_up(blocks.rows, kTileRows), std::min(K, depth));
  Unit* const packed = scratch_of<Unit>(Scratch::gemm_b, packed_size<Unit>(K, N));
  Unit* const rooms = scratch_of<Unit>(Scratch::gemm_a, omp_get_max_threads() * share);
  const Strided<Real> a = left_of(args), b = right_of(args);
#pragma omp parallel
  {
#pragma omp for schedule(static)
    for (std::int64_t p = 0; p < panels; ++p) pack_share(packed, b, K, N, p);
    Unit* const room = rooms + omp_get_thread_num() * share;
#pragma omp for schedule(static)
    for (std::int64_t task = 0; task < blocks.tasks(); ++task) {
      const std::int64_t m0 = blocks.row(task), rows = std::min(blocks.rows, M - m0);
      const std::int64_t n0 = blocks.column(task), end = std::min(N, n0 + blocks.columns);
      for (std::int64_t k0 = 0; k0 < K; k0 += depth) {
        const std::int64_t length = std::min(depth, K - k0), units = depth_of<Unit>(length);
        const Real* bias = k0 + length == K ? args.bias : nullptr;
        const TileRows<Unit> left = pack_rows<Unit>(room, a.from(m0, k0), rows, length);
        for (std::int64_t n = n0; n < end; n += panel) {
          const std::int64_t width = panel_width<Unit>(N, n);
          const Unit* right = packed + n * stored + k0 / kUnitDepth<Unit> * width;
          multiply_block(c + m0 * N + n, N, left, right, rows, width, std::min(width, N - n), units,
                         args.accumulate || k0 > 0, bias == nullptr ? nullptr : bias + n);
        }
      }
    }
  }
}

// A long sum for a small C (gradients of weights): slab by slab of the sum, all threads pack both
// sides, then compute blocks of C.
template <class Real, class Out>
void multiply_slabs(const Gemm<Real>& args, Out* c) {
  using Unit = unit_t<Real>;
  constexpr std::int64_t panel = Simd<Unit>::panel;
  const std::int64_t M = args.M, N = args.N, K = args.K;
  const std::int64_t slab = kDepth * kUnitDepth<Unit>, most = depth_of<Unit>(std::min(K, slab));
  const Blocks blocks(M, N, round_up(std::min<std::int64_t>(M, 48), kStep<Unit>),
                      quarter_of<Unit>(N));
  const std::int64_t panels = (N + panel - 1) / panel;
  Unit* const right = scratch_of<Unit>(Scratch::gemm_b, most * round_up(N, Simd<Unit>::lanes));
  Unit* const left = scratch_of<Unit>(Scratch::gemm_a, most * blocks.down * blocks.rows);
  const Strided<Real> a = left_of(args), b = right_of(args);
#pragma omp parallel
  {
    for (std::int64_t k0 = 0; k0 < K; k0 += slab) {
      const std::int64_t length = std::min(slab, K - k0), units = depth_of<Unit>(length);
#pragma omp for schedule(static) nowait
      for (std::int64_t p = 0; p < panels; ++p) pack_share(right, b.from(k0, 0), length, N, p);
#pragma omp for schedule(static)
      for (std::int64_t part = 0; part < blocks.down; ++part) {
        const std::int64_t m0 = part * blocks.rows;
        pack_rows<Unit>(left + m0 * units, a.from(m0, k0), std::min(blocks.rows, M - m0), length);
      }
#pragma omp for schedule(static)
      for (std::int64_t task = 0; task < blocks.tasks(); ++task) {
        const std::int64_t m0 = blocks.row(task), rows = std::min(blocks.rows, M - m0);
        const std::int64_t n0 = blocks.column(task), end = std::min(N, n0 + blocks.columns);
        const TileRows<Unit> packed{left + m0 * units};
        for (std::int64_t n = n0; n < end; n += panel) {
          const std::int64_t width = panel_width<Unit>(N, n);
          multiply_block(c + m0 * N + n, N, packed, right + n * units, rows, width,
                         std::min(width, N - n), units, args.accumulate || k0 > 0,
                         static_cast<const Real*>(nullptr));
        }
      }
    }
  }
}

// Few rows (decoding): every weight is read once, from where it lies.
template <class Real, class Out>
void multiply_thin(const Gemm<Real>& args, Out* c) {
#pragma omp parallel for schedule(static)
  for (std::int64_t n = 0; n < args.N; n += 2) {
    if (n + 2 <= args.N) {
      multiply_columns<2>(args, c, n);
    } else {
      multiply_columns<1>(args, c, n);
    }
  }
}

// The sum over nothing: C is the bias, or 0, or stays.
template <class Real, class Out>
void multiply_nothing(const Gemm<Real>& args, Out* c) {
  for (std::int64_t i = 0; !args.accumulate && i < args.M * args.N; ++i) {
    c[i] = args.bias == nullptr ? Out(0) : static_cast<Out>(args.bias[i % args.N]);
  }
}

template <class Real, class Out>
void multiply(const Gemm<Real>& args, Out* c) {
  if (args.M == 0 || args.N == 0) return;
  if (args.K == 0) return multiply_nothing(args, c);
  const bool thin = args.M <= kThinRows && !args.transpose_a && args.transpose_b;
  const bool gradients = args.accumulate && args.transpose_a && !args.transpose_b;
  if constexpr (kTiled<unit_t<Real>>) {
    if (thin && !args.accumulate) return multiply_few_rows(args, c);
    if constexpr (std::is_same_v<Out, float>) {
      if (gradients) return multiply_gradients(args, c);
    }
    multiply_strips(args, c);
  } else {
    if (thin && !args.accumulate) return multiply_thin(args, c);
    if constexpr (std::is_same_v<Out, sum_t<Real>>) {
      if (gradients) return multiply_slabs(args, c);
    }
    multiply_rows(args, c);
  }
}

}  // namespace

template <class Real>
void gemm(On<Cpu, Real>, const Gemm<Real>& args) {
  if (args.wide != nullptr) {
    multiply(args, args.wide);
  } else {
    multiply(args, args.c);
  }
}

MASQUE_INSTANTIATE(gemm, Gemm)

}  // namespace MASQUE_LEVEL
}  // namespace masque
