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

// C (16·Rows, 16·Vectors) (+)= A · one panel, 16 units of the sum a time. Tiles 0–3 are C, 4–5 A,
// 6–7 B.
template <int Rows, int Vectors>
inline void multiply_tiles(float* c, std::int64_t c_stride, const Strided<BfPair>& a,
                           const BfPair* panel, std::int64_t units, bool accumulate) {
  const std::int64_t c_bytes = c_stride * 4, a_bytes = a.row_stride * 4, b_bytes = Vectors * 64;
  float* below = c + kTileSide * c_stride;
  // GCC 12 does not know that loads and stores of tiles touch memory.
  __asm__ volatile("" : : : "memory");
  if (accumulate) {
    _tile_loadd(0, c, c_bytes);
    if constexpr (Vectors > 1) _tile_loadd(1, c + kTileSide, c_bytes);
    if constexpr (Rows > 1) _tile_loadd(2, below, c_bytes);
    if constexpr (Rows > 1 && Vectors > 1) _tile_loadd(3, below + kTileSide, c_bytes);
  } else {
    _tile_zero(0);
    if constexpr (Vectors > 1) _tile_zero(1);
    if constexpr (Rows > 1) _tile_zero(2);
    if constexpr (Rows > 1 && Vectors > 1) _tile_zero(3);
  }
  const BfPair *first = a.data, *second = a.data + kTileSide * a.row_stride, *b = panel;
  const auto load_a = [&] { _tile_loadd(4, first, a_bytes); };
  const auto load_b = [&] { _tile_loadd(6, b, b_bytes); };
  const auto load_second_a = [&] {
    if constexpr (Rows > 1) _tile_loadd(5, second, a_bytes);
  };
  const auto load_second_b = [&] {
    if constexpr (Vectors > 1) _tile_loadd(7, b + kTileSide, b_bytes);
  };
  load_a();
  load_b();
  load_second_b();
  load_second_a();
  // A tile is loaded anew as soon as its last product has been issued.
  for (std::int64_t k = kTileSide; k < units; k += kTileSide) {
    first += kTileSide;
    second += kTileSide;
    b += kTileSide * Vectors * kTileSide;
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (Vectors > 1) _tile_dpbf16ps(1, 4, 7);
    load_a();
    if constexpr (Rows > 1) _tile_dpbf16ps(2, 5, 6);
    load_b();
    if constexpr (Rows > 1 && Vectors > 1) _tile_dpbf16ps(3, 5, 7);
    load_second_b();
    load_second_a();
  }
  _tile_dpbf16ps(0, 4, 6);
  if constexpr (Vectors > 1) _tile_dpbf16ps(1, 4, 7);
  if constexpr (Rows > 1) _tile_dpbf16ps(2, 5, 6);
  if constexpr (Rows > 1 && Vectors > 1) _tile_dpbf16ps(3, 5, 7);
  _tile_stored(0, c, c_bytes);
  if constexpr (Vectors > 1) _tile_stored(1, c + kTileSide, c_bytes);
  if constexpr (Rows > 1) _tile_stored(2, below, c_bytes);
  if constexpr (Rows > 1 && Vectors > 1) _tile_stored(3, below + kTileSide, c_bytes);
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
