#include "kernels/gemm.h"

#include <omp.h>

#include <algorithm>
#include <type_traits>

#include "kernels/level.h"
#include "kernels/product.h"
#include "kernels/scratch.h"
#include "kernels/thin_product.h"

namespace masque {
namespace MASQUE_LEVEL {
namespace {

constexpr std::int64_t kTall = 512;   // rows of C from which it is cut by rows alone
constexpr std::int64_t kDepth = 256;  // units of the sum at a time: a panel of them stays in L1

// A whole tile as it lies on the stack before it is converted, or where C has no room for it.
constexpr std::int64_t kBlockRows = std::max<std::int64_t>(2 * kTileSide, kTileRows);
template <class Unit>
struct alignas(64) Block {
  typename Simd<Unit>::Lane values[kBlockRows * Simd<Unit>::panel];
};

template <class Real>
Strided<Real> left_of(const Gemm<Real>& args) {
  if (args.transpose_a) return {args.a, 1, args.M};
  return {args.a, args.K, 1};
}

template <class Real>
Strided<Real> right_of(const Gemm<Real>& args) {
  if (args.transpose_b) return {args.b, 1, args.K};
  return {args.b, args.N, 1};
}

// Rows of a step through a block of rows, and where they start.
template <class Unit>
constexpr std::int64_t kStep = kTiled<Unit> ? 2 * kTileSide : kTileRows;

template <class Unit>
TileRows<Unit> step_of(const TileRows<Unit>& rows, std::int64_t m, std::int64_t units) {
  return {rows.data + m * units};
}
template <class Unit>
Strided<Unit> step_of(const Strided<Unit>& rows, std::int64_t m, std::int64_t) {
  return rows.from(m, 0);
}

// The first `filled` columns of a block of sums, (count, width), plus the bias, become C's or are
// added to them.
template <class Lane, class Out, class Bias>
void store_block(Out* c, std::int64_t c_stride, Lane* block, std::int64_t width, std::int64_t count,
                 std::int64_t filled, bool accumulate, const Bias* bias) {
  if constexpr (std::is_same_v<Out, bf16>) {
    if (filled == Simd<Lane>::panel && !accumulate && bias == nullptr) {  // as most blocks are
#pragma GCC unroll 4
      for (std::int64_t row = 0; row < count; ++row) {
        narrow(c + row * c_stride, block + row * Simd<Lane>::panel, Simd<Lane>::panel);
      }
      return;
    }
  }
  for (std::int64_t row = 0; row < count; ++row) {
    Lane* sums = block + row * width;
    Out* to = c + row * c_stride;
    if (bias != nullptr) {
#pragma omp simd
      for (std::int64_t n = 0; n < filled; ++n) sums[n] += static_cast<Lane>(bias[n]);
    }
    if (accumulate) {
#pragma omp simd
      for (std::int64_t n = 0; n < filled; ++n) to[n] = to[n] + sums[n];
    } else if constexpr (std::is_same_v<Out, bf16>) {
      narrow(to, sums, filled);
    } else {
      std::copy_n(sums, filled, to);
    }
  }
}

// C (M, width) of one panel (+)= rows · panel, over `units` of the sum. Whole blocks of an f32 C
// are summed where they lie, the others by way of a copy.
template <class Unit, class Left, class Out, class Bias>
void multiply_block(Out* c, std::int64_t c_stride, const Left& rows, const Unit* panel,
                    std::int64_t M, std::int64_t width, std::int64_t filled, std::int64_t units,
                    bool accumulate, const Bias* bias) {
  using Lane = typename Simd<Unit>::Lane;
  constexpr std::int64_t step = kStep<Unit>;
  const auto multiply = [&](Lane* to, std::int64_t stride, std::int64_t m, std::int64_t count,
                            bool add) {
    multiply_panel_of(width, to, stride, step_of(rows, m, units), panel, count, units, add);
  };
  for (std::int64_t m = 0; m < M; m += step) {
    const std::int64_t count = std::min(step, M - m);
    Out* at = c + m * c_stride;
    if constexpr (std::is_same_v<Out, Lane>) {
      if (width == filled && (!kTiled<Unit> || count % kTileSide == 0)) {
        multiply(at, c_stride, m, count, accumulate);
        for (std::int64_t row = 0; bias != nullptr && row < count; ++row) {
#pragma omp simd
          for (std::int64_t n = 0; n < filled; ++n) at[row * c_stride + n] += bias[n];
        }
        continue;
      }
    }
    Block<Unit> block;
    multiply(block.values, width, m, count, false);
    store_block(at, c_stride, block.values, width, count, filled, accumulate, bias);
  }
}

// The panels p of B, (K, N), from `packed` on.
template <class Unit, class Real>
void pack_share(Unit* packed, const Strided<Real>& b, std::int64_t K, std::int64_t N,
                std::int64_t p) {
  const std::int64_t n = p * Simd<Unit>::panel;
  pack_panel(packed + n * depth_of<Unit>(K), b, K, N, n, panel_width<Unit>(N, n));
}

// Blocks of C, one a task, fixed by the shape.
struct Blocks {
  std::int64_t rows, columns, down, across;

  Blocks(std::int64_t M, std::int64_t N, std::int64_t most_rows, std::int64_t most_columns)
      : rows(most_rows),
        columns(most_columns),
        down((M + most_rows - 1) / most_rows),
        across((N + most_columns - 1) / most_columns) {}

  std::int64_t tasks() const { return down * across; }
  // Down first: threads then share columns, which divide more evenly than rows of whole tiles.
  std::int64_t row(std::int64_t task) const { return task % down * rows; }
  std::int64_t column(std::int64_t task) const { return task / down * columns; }
};

// Columns of a task where C is cut across: a quarter, in whole panels.
template <class Unit>
std::int64_t quarter_of(std::int64_t N) {
  constexpr std::int64_t panel = Simd<Unit>::panel;
  return std::max(2 * panel, round_up((N + 3) / 4, panel));
}

#ifdef __AMX_BF16__

constexpr std::int64_t kStripDepth = 640;          // numbers of a sum: 32 rows of them are 40 KiB
constexpr std::int64_t kStripRows = 256;           // from which a thread does well to pack B alone
constexpr std::int64_t kPackedUnits = 256 * 1024;  // of B: 1 MiB stays in L2
constexpr std::int64_t kSlab = 256;  // numbers of a gradient's sum: 32 rows and a panel stay in L1
constexpr std::int64_t kPartedSum = 1024;         // from which a gradient's sum has two parts,
constexpr std::int64_t kPartedSize = 160 * 1024;  // where C is at most so large

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
Blocks blocks_of_threads(std::int64_t threads, std::int64_t M, std::int64_t N,
                         std::int64_t least_rows) {
  constexpr std::int64_t side = kStep<BfPair>, panel = Simd<BfPair>::panel;
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
  const std::int64_t parts = (K + kStripDepth - 1) / kStripDepth;
  const std::int64_t depth = parts == 1 ? K : round_up((K + parts - 1) / parts, 2 * kTileSide);
  const Blocks blocks = blocks_of_threads(omp_get_max_threads(), M, N, kStripRows);
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
// through its part of the sum alone, in slabs that it packs for itself, B's whole and A's a strip
// at a time: what another core has packed would cost more to fetch. A long sum for a small C has
// two parts, as threads have the rows of activations; the second is summed beside C. How C is cut
// changes no sum, so it is cut for the threads there are.
void multiply_gradients(const Gemm<bf16>& args, float* c) {
  using Unit = BfPair;
  constexpr std::int64_t panel = Simd<Unit>::panel, side = kStep<Unit>;
  const std::int64_t M = args.M, N = args.N, K = args.K;
  const std::int64_t parts = K >= kPartedSum && M * N <= kPartedSize ? 2 : 1;
  const std::int64_t part_length = round_up((K + parts - 1) / parts, kSlab);
  const std::int64_t slab = std::min(K, kSlab);
  const std::int64_t threads = omp_get_max_threads();
  const Blocks blocks = blocks_of_threads((threads + parts - 1) / parts, M, N, side);
  const std::int64_t left_size = rows_size<Unit>(side, slab);
  const std::int64_t room_size = left_size + packed_size<Unit>(slab, blocks.columns);
  Unit* const rooms = scratch_of<Unit>(Scratch::gemm_a, threads * room_size);
  float* const second = scratch_of<float>(Scratch::gemm_b, (parts - 1) * M * N);
  const Strided<bf16> a = left_of(args), b = right_of(args);
#pragma omp parallel
  {
    Unit* const room = rooms + omp_get_thread_num() * room_size;
    Unit* const right = room + left_size;
    const Tiles tiles;
#pragma omp for schedule(static)
    for (std::int64_t task = 0; task < parts * blocks.tasks(); ++task) {
      const std::int64_t part = task / blocks.tasks(), block = task % blocks.tasks();
      const std::int64_t m0 = blocks.row(block), rows = std::min(blocks.rows, M - m0);
      const std::int64_t n0 = blocks.column(block), columns = std::min(blocks.columns, N - n0);
      const std::int64_t begin = part * part_length, end = std::min(K, begin + part_length);
      float* const sums = part == 0 ? c : second;
      for (std::int64_t k0 = begin; k0 < end; k0 += slab) {
        const std::int64_t length = std::min(slab, end - k0), units = depth_of<Unit>(length);
        for (std::int64_t k = 0; k < units; k += kTileSide) {  // row after row of B
          for (std::int64_t n = 0; n < columns; n += panel) {
            const std::int64_t width = panel_width<Unit>(columns, n);
            pack_panel(right + n * units + k * width, b.from(k0 + 2 * k, n0),
                       std::min(2 * kTileSide, length - 2 * k), columns, n, width);
          }
        }
        for (std::int64_t m = 0; m < rows; m += side) {
          const std::int64_t count = std::min(side, rows - m);
          const Strided<Unit> left = copy_rows(room, a.from(m0 + m, k0), count, length);
          for (std::int64_t n = 0; n < columns; n += panel) {
            const std::int64_t width = panel_width<Unit>(columns, n);
            multiply_block(sums + (m0 + m) * N + n0 + n, N, left, right + n * units, count, width,
                           std::min(width, columns - n), units, part == 0 || k0 > begin,
                           static_cast<const bf16*>(nullptr));
          }
        }
      }
    }
    if (parts == 2) {
#pragma omp for schedule(static)
      for (std::int64_t m = 0; m < M; ++m) {
#pragma omp simd
        for (std::int64_t n = 0; n < N; ++n) c[m * N + n] += second[m * N + n];
      }
    }
  }
}

#endif

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

// Few rows (decoding), for which packing B would cost more than it saves: every weight is read
// once, from where it lies. In tiles Cᵀ = B·Aᵀ is computed, whose left side the weights are as they
// lie; A, packed by each thread for itself, is small.
template <class Real, class Out>
void multiply_thin(const Gemm<Real>& args, Out* c) {
#ifdef __AMX_BF16__
  if constexpr (kTiled<unit_t<Real>>) {
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
    return;
  }
#endif
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
  if (thin && !args.accumulate) return multiply_thin(args, c);
  const bool gradients = args.accumulate && args.transpose_a && !args.transpose_b;
  if constexpr (kTiled<unit_t<Real>>) {
    if constexpr (std::is_same_v<Out, float>) {
      if (gradients) return multiply_gradients(args, c);
    }
    multiply_strips(args, c);
  } else {
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
