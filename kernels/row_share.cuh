// How kernels that read whole rows cut a row of C elements among the threads of a block.
#pragma once

#include "kernels/elements.cuh"
#include "kernels/reduce.cuh"

namespace masque {

inline constexpr int kRowBlock = 256;  // threads of a block

// Threads threads a row, each of which holds Held elements of it in registers, in packs. Held = 0:
// element by element, read again where needed, for rows of any width and alignment.
template <class Real, int Threads, int Held>
struct RowShare {
  static constexpr int kHeld = Held;
  static constexpr bool kHolds = Held > 0;
  static constexpr int kWidth = kHolds ? kPack<Real> : 1;     // elements of a piece
  static constexpr int kPieces = kHolds ? Held / kWidth : 1;  // that a thread can hold
  static constexpr int kRows = kRowBlock / Threads;           // of a block at a time
  static_assert(Threads == kWarpSize || Threads == kRowBlock);
  static_assert(kHolds || kRows == 1);

  __device__ static int row() { return static_cast<int>(threadIdx.x) / Threads; }
  __device__ static int thread() { return static_cast<int>(threadIdx.x) % Threads; }

  // visit(piece, c) for this thread's pieces: elements c … c + kWidth − 1.
  template <class Visit>
  __device__ __forceinline__ static void each(std::int64_t C, const Visit& visit) {
    if constexpr (kHolds) {
      GPU_UNROLL
      for (int piece = 0; piece < kPieces; ++piece) {
        const int c = (thread() + piece * Threads) * kWidth;
        if (c < C) visit(piece, c);
      }
    } else {
      for (std::int64_t c = thread(); c < C; c += Threads) visit(0, c);
    }
  }

  // Over the threads of the row; each of them gets it.
  __device__ __forceinline__ static float sum(float value) {
    if constexpr (Threads == kWarpSize) {
      return warp_sum(value);
    } else {
      return block_sum<Threads>(value);
    }
  }
};

// call(RowShare) for rows of C, the smallest that fits. packs: whether rows can be read in packs.
template <class Real, class Call>
void with_row_share(std::int64_t C, bool packs, const Call& call) {
  constexpr int kWarp = kWarpSize;
  if (!packs || C > 16 * kRowBlock) {
    call(RowShare<Real, kRowBlock, 0>{});
  } else if (C <= 8 * kWarp) {
    call(RowShare<Real, kWarp, 8>{});
  } else if (C <= 16 * kWarp) {
    call(RowShare<Real, kWarp, 16>{});
  } else if (C <= 24 * kWarp) {
    call(RowShare<Real, kWarp, 24>{});
  } else if (C <= 32 * kWarp) {
    call(RowShare<Real, kWarp, 32>{});
  } else if (C <= 8 * kRowBlock) {
    call(RowShare<Real, kRowBlock, 8>{});
  } else {
    call(RowShare<Real, kRowBlock, 16>{});
  }
}

}  // namespace masque
