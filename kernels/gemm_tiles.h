// gemm in tiles (AMX): activations, gradients of weights, few rows. A thread packs what it
// multiplies for itself: what another core has packed would cost more to fetch.
#pragma once

#ifdef __AMX_BF16__
#include <immintrin.h>
#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "kernels/gemm_parts.h"
#include "kernels/scratch.h"

namespace masque {
inline namespace MASQUE_LEVEL_HELPERS {

inline constexpr std::int64_t kStripDepth = 512;  // numbers of a sum: 32 rows of them are 32 KiB
inline constexpr std::int64_t kStripRows = 256;   // from which a thread does well to pack B alone
inline constexpr std::int64_t kPackedUnits = 256 * 1024;  // of B: 1 MiB stays in L2
inline constexpr std::int64_t kSlab =
    256;  // numbers of a gradient's sum: 32 rows and a panel stay in L1

// Asks for `length` numbers of each of the next rows of A, a share at each of `calls`.
class Fetcher {
 public:
  Fetcher(const Strided<bf16>& a, std::int64_t rows, std::int64_t length, std::int64_t calls)
      : row_(reinterpret_cast<const char*>(a.data)),
        stride_(a.row_stride * kSize),
        bytes_(length * kSize),
        left_(a.col_stride == 1 ? rows * ((bytes_ + kLine - 1) / kLine) : 0),
        share_((left_ + calls - 1) / calls) {}
  void fetch() {
    for (std::int64_t i = std::min(share_, left_); i > 0; --i) {
      _mm_prefetch(row_ + at_, _MM_HINT_T0);
      at_ += kLine;
      if (at_ >= bytes_) {
        at_ = 0;
        row_ += stride_;
      }
    }
    left_ -= std::min(share_, left_);
  }

 private:
  static constexpr std::int64_t kSize = sizeof(bf16), kLine = 64;
  const char* row_;
  std::int64_t stride_, bytes_, at_ = 0, left_, share_;
};

// How C is cut for `threads`, where each packs what it needs for itself: down into shares of at
// least `least_rows`, and across where there are fewer of these.
inline Blocks blocks_of_threads(std::int64_t M, std::int64_t N, std::int64_t least_rows) {
  constexpr std::int64_t side = kStep<BfPair>, panel = Simd<BfPair>::panel;
  const std::int64_t threads = omp_get_max_threads();
  const std::int64_t down = std::clamp<std::int64_t>(M / least_rows, 1, threads);
  const std::int64_t across = std::min((threads + down - 1) / down, (N + panel - 1) / panel);
  return {M, N, round_up((M + down - 1) / down, side), round_up((N + across - 1) / across, panel)};
}

// Activations, in tiles. A thread packs columns of B, as many as stay in L2, for itself: what
// another core has packed would cost more to fetch. Then it goes through its strips of 32 rows of
// C: their rows of A stay in L1, read where they lie, while the panels of B stream past; the next
// rows are fetched meanwhile. A sum that is longer than L1 holds is added up in f32 beside C and
// rounded once.
template <class Out>
void multiply_strips(const Gemm<bf16>& args, Out* c) {
  using Unit = BfPair;
  constexpr std::int64_t panel = Simd<Unit>::panel, side = kStep<Unit>;
  const std::int64_t M = args.M, N = args.N, K = args.K, stored = depth_of<Unit>(K);
  const std::int64_t depth = K <= kStripDepth * 5 / 4 ? K : kStripDepth;
  const Blocks blocks = blocks_of_threads(M, N, kStripRows);
  const std::int64_t most =
      std::clamp(kPackedUnits / stored / panel * panel, panel, blocks.columns);
  const std::int64_t packed_room = packed_size<Unit>(K, most);
  const std::int64_t sums_room = side * (depth < K ? most : panel);
  const std::int64_t room_size = packed_room + sums_room + rows_size<Unit>(side, depth);
  Unit* const rooms = scratch_of<Unit>(Scratch::gemm_a, omp_get_max_threads() * room_size);
  const Strided<bf16> a = left_of(args), b = right_of(args);
#pragma omp parallel
  {
    Unit* const packed = rooms + omp_get_thread_num() * room_size;
    float* const sums = reinterpret_cast<float*>(packed + packed_room);
    Unit* const room = packed + packed_room + sums_room;
    const Tiles tiles;
    // Columns n0 to n_end of the strip from row m0 on.
    const auto strip = [&](std::int64_t m0, std::int64_t m_end, std::int64_t n0,
                           std::int64_t n_end) {
      const std::int64_t rows = std::min(side, m_end - m0);
      for (std::int64_t k0 = 0; k0 < K; k0 += depth) {
        const std::int64_t length = std::min(depth, K - k0), units = depth_of<Unit>(length);
        const Strided<Unit> left = as_rows(room, a.from(m0, k0), rows, length);
        const bool last = k0 + length == K;
        const std::int64_t next_m = last ? m0 + side : m0, next_k = last ? 0 : k0 + depth;
        Fetcher ahead(a.from(next_m, next_k), std::clamp<std::int64_t>(m_end - next_m, 0, side),
                      std::min(depth, K - next_k), (n_end - n0 + panel - 1) / panel);
        for (std::int64_t n = n0; n < n_end; n += panel) {
          const std::int64_t width = panel_width<Unit>(n_end, n);
          const Unit* right = packed + (n - n0) * stored + k0 / kUnitDepth<Unit> * width;
          float* block = depth < K ? sums + (n - n0) * side : sums;
          ahead.fetch();
          multiply_panel_of(width, block, width, left, right, rows, units, k0 > 0);
          if (last) {
            store_block(c + m0 * N + n, N, block, width, rows, std::min(width, n_end - n),
                        args.accumulate, args.bias == nullptr ? nullptr : args.bias + n);
          }
        }
      }
    };
#pragma omp for schedule(static)
    for (std::int64_t task = 0; task < blocks.tasks(); ++task) {
      const std::int64_t m0 = blocks.row(task), m_end = std::min(M, m0 + blocks.rows);
      const std::int64_t end = std::min(N, blocks.column(task) + blocks.columns);
      for (std::int64_t n = blocks.column(task); n < end; n += most) {
        const std::int64_t n_end = std::min(end, n + most);
        pack_panels(packed, b.from(0, n), K, n_end - n);
        for (std::int64_t m = m0; m < m_end; m += side) strip(m, m_end, n, n_end);
      }
    }
  }
}

// Gradients of weights, in tiles: C += Aᵀ·B with rows of A and B side by side. Each task goes
// through the whole sum alone, in slabs that it packs for itself: what another core has packed
// would cost more to fetch. How C is cut changes no sum, so it is cut for the threads there are.
inline void multiply_gradients(const Gemm<bf16>& args, float* c) {
  using Unit = BfPair;
  constexpr std::int64_t panel = Simd<Unit>::panel, side = kStep<Unit>;
  const std::int64_t M = args.M, N = args.N, K = args.K, slab = std::min(K, kSlab);
  const Blocks blocks = blocks_of_threads(M, N, side);
  const std::int64_t left_size = rows_size<Unit>(blocks.rows, slab);
  const std::int64_t room_size = left_size + packed_size<Unit>(slab, blocks.columns);
  Unit* const rooms = scratch_of<Unit>(Scratch::gemm_a, omp_get_max_threads() * room_size);
  const Strided<bf16> a = left_of(args), b = right_of(args);
#pragma omp parallel
  {
    Unit* const room = rooms + omp_get_thread_num() * room_size;
    Unit* const right = room + left_size;
    const Tiles tiles;
#pragma omp for schedule(static)
    for (std::int64_t task = 0; task < blocks.tasks(); ++task) {
      const std::int64_t m0 = blocks.row(task), rows = std::min(blocks.rows, M - m0);
      const std::int64_t n0 = blocks.column(task), columns = std::min(blocks.columns, N - n0);
      for (std::int64_t k0 = 0; k0 < K; k0 += slab) {
        const std::int64_t length = std::min(slab, K - k0), units = depth_of<Unit>(length);
        const Strided<Unit> left = copy_rows(room, a.from(m0, k0), rows, length);
        for (std::int64_t k = 0; k < units; k += kTileSide) {  // row after row of B
          for (std::int64_t n = 0; n < columns; n += panel) {
            const std::int64_t width = panel_width<Unit>(columns, n);
            pack_panel(right + n * units + k * width, b.from(k0 + 2 * k, n0),
                       std::min(2 * kTileSide, length - 2 * k), columns, n, width);
          }
        }
        for (std::int64_t m = 0; m < rows; m += side) {
          for (std::int64_t n = 0; n < columns; n += panel) {
            const std::int64_t width = panel_width<Unit>(columns, n);
            multiply_block(c + (m0 + m) * N + n0 + n, N, left.from(m, 0), right + n * units,
                           std::min(side, rows - m), width, std::min(width, columns - n), units,
                           true, static_cast<const bf16*>(nullptr));
          }
        }
      }
    }
  }
}

// Few rows (decoding): Cᵀ = B·Aᵀ, whose left side the weights are as they lie; A, packed by each
// thread for itself, is small.
template <class Out>
void multiply_few_rows(const Gemm<bf16>& args, Out* c) {
  using Unit = BfPair;
  constexpr std::int64_t side = kStep<Unit>;
  const std::int64_t M = args.M, N = args.N, K = args.K, units = depth_of<Unit>(K);
  const std::int64_t packed_room = packed_size<Unit>(K, kTileSide);
  const std::int64_t room_size = packed_room + rows_size<Unit>(side, K);
  Unit* const rooms = scratch_of<Unit>(Scratch::gemm_a, omp_get_max_threads() * room_size);
#pragma omp parallel
  {
    Unit *const packed = rooms + omp_get_thread_num() * room_size, *const room =
                                                                       packed + packed_room;
    bf16* const whole = &room->first;  // A with a tile's rows: the packing's fast path
    std::copy_n(args.a, M * K, whole);
    std::fill_n(whole + M * K, (kTileSide - M) * K, bf16(0.0f));
    pack_panels(packed, Strided<bf16>{whole, 1, K}, K, kTileSide);
    const Tiles tiles;
#pragma omp for schedule(static)
    for (std::int64_t n = 0; n < N; n += side) {
      const std::int64_t columns = std::min(side, N - n);
      Block<Unit> block;  // (columns, kTileSide)
      multiply_panel<1>(
          block.values, kTileSide,
          as_rows(packed + packed_room, Strided<bf16>{args.b + n * K, K, 1}, columns, K), packed,
          columns, units, false);
      for (std::int64_t m = 0; m < M; ++m) {
        for (std::int64_t i = 0; i < columns; ++i) {
          const float bias = args.bias == nullptr ? 0.0f : static_cast<float>(args.bias[n + i]);
          c[m * N + n + i] = block.values[i * kTileSide + m] + bias;
        }
      }
    }
  }
}

}  // namespace MASQUE_LEVEL_HELPERS
}  // namespace masque

#endif
