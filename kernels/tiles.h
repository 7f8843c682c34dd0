// Products in tiles (AMX): eight registers of 16 rows of 16 lanes.
#pragma once

#ifdef __AMX_BF16__
#include <immintrin.h>
#endif

#include <cstdint>

#include "kernels/level.h"
#include "kernels/units.h"

namespace masque {
inline namespace MASQUE_LEVEL_HELPERS {

#ifdef __AMX_BF16__

// The shape of all eight tiles, for as long as it lives: one a thread, around its products.
class Tiles {
 public:
  Tiles() {
    struct alignas(64) {
      std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
      std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } shape;
    // GCC 12 takes _tile_loadconfig to read 8 bytes, and may leave the rest unwritten.
    __asm__ volatile("" : : "r"(&shape) : "memory");
    _tile_loadconfig(&shape);
  }
  ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
};

// C (16·Rows, 16·Vectors) (+)= A · one panel, 16 units of the sum a time. Tiles 0 and 1 are C, 2 is
// B and 3 A: four of the eight, because where the core's other hyperthread runs, the CPU has few
// registers left to rename tiles by, and each one in use takes one of them (docs/performance.md).
template <int Rows, int Vectors>
inline void multiply_tiles(float* c, std::int64_t c_stride, const Strided<BfPair>& a,
                           const BfPair* panel, std::int64_t units, bool accumulate) {
  const std::int64_t c_bytes = c_stride * 4, a_bytes = a.row_stride * 4, b_bytes = Vectors * 64;
  const std::int64_t below = kTileSide * c_stride, a_below = kTileSide * a.row_stride;
  // GCC 12 does not know that loads and stores of tiles touch memory.
  __asm__ volatile("" : : : "memory");
#pragma GCC unroll 2
  for (int v = 0; v < Vectors; ++v, c += kTileSide, panel += kTileSide) {
    if (accumulate) {
      _tile_loadd(0, c, c_bytes);
      if constexpr (Rows > 1) _tile_loadd(1, c + below, c_bytes);
    } else {
      _tile_zero(0);
      if constexpr (Rows > 1) _tile_zero(1);
    }
    for (std::int64_t k = 0; k < units; k += kTileSide) {
      _tile_loadd(2, panel + k * Vectors * kTileSide, b_bytes);
      _tile_loadd(3, a.data + k, a_bytes);
      _tile_dpbf16ps(0, 3, 2);
      if constexpr (Rows > 1) {
        _tile_loadd(3, a.data + a_below + k, a_bytes);
        _tile_dpbf16ps(1, 3, 2);
      }
    }
    _tile_stored(0, c, c_bytes);
    if constexpr (Rows > 1) _tile_stored(1, c + below, c_bytes);
  }
  __asm__ volatile("" : : : "memory");
}

#else

class Tiles {
 public:
  Tiles() {}
};

#endif

}  // namespace MASQUE_LEVEL_HELPERS
}  // namespace masque
