// Tensor-core instructions on the lanes' registers, as the PTX ISA lays them out (9.7.14, "Matrix
// fragments for mma.m16n8k16" and "ldmatrix").
#pragma once

#include <cstdint>

#include "kernels/emulator/grid.h"

namespace masque::emulator {

// d += a·b, 16×8×16, bf16 with f32 sums.
void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
              const Site& site = Site::current());

// Loads `count` (1, 2, 4) matrices of 8×8 16-bit elements; lane 8i + r gives the address of row r
// of matrix i.
void ldmatrix(std::uint32_t* fragments, int count, bool transposed, const void* row,
              const Site& site);

inline void ldmatrix_x1(std::uint32_t (&f)[1], const void* row,
                        const Site& site = Site::current()) {
  ldmatrix(f, 1, false, row, site);
}
inline void ldmatrix_x2(std::uint32_t (&f)[2], const void* row,
                        const Site& site = Site::current()) {
  ldmatrix(f, 2, false, row, site);
}
inline void ldmatrix_x4(std::uint32_t (&f)[4], const void* row,
                        const Site& site = Site::current()) {
  ldmatrix(f, 4, false, row, site);
}
inline void ldmatrix_x1_trans(std::uint32_t (&f)[1], const void* row,
                              const Site& site = Site::current()) {
  ldmatrix(f, 1, true, row, site);
}
inline void ldmatrix_x2_trans(std::uint32_t (&f)[2], const void* row,
                              const Site& site = Site::current()) {
  ldmatrix(f, 2, true, row, site);
}
inline void ldmatrix_x4_trans(std::uint32_t (&f)[4], const void* row,
                              const Site& site = Site::current()) {
  ldmatrix(f, 4, true, row, site);
}

}  // namespace masque::emulator
