#include "kernels/emulator/tensor_core.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstring>

#include "kernels/backend.h"
#include "kernels/bf16.h"

namespace masque::emulator {
namespace {

constexpr unsigned kAll = 0xffffffffu;

float half(std::uint32_t word, unsigned which) {
  bf16 value;
  value.bits = static_cast<std::uint16_t>(word >> (16 * which));
  return value;
}

struct Mma {
  float* d;
  const std::uint32_t* a;
  const std::uint32_t* b;
};

void complete_mma(Posts posts) {
  std::array<std::array<float, 16>, 16> A{};
  std::array<std::array<float, 8>, 16> B{};
  for (unsigned lane = 0; lane < kWarp; ++lane) {
    const auto& mma = *static_cast<const Mma*>(posts[lane]);
    const unsigned row = lane / 4, column = lane % 4 * 2;
    for (unsigned i = 0; i < 2; ++i) {
      A[row][column + i] = half(mma.a[0], i);
      A[row + 8][column + i] = half(mma.a[1], i);
      A[row][column + 8 + i] = half(mma.a[2], i);
      A[row + 8][column + 8 + i] = half(mma.a[3], i);
      B[column + i][row] = half(mma.b[0], i);
      B[column + 8 + i][row] = half(mma.b[1], i);
    }
  }
  for (unsigned lane = 0; lane < kWarp; ++lane) {
    float* d = static_cast<const Mma*>(posts[lane])->d;
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
      float sum = d[i];
      for (unsigned k = 0; k < 16; ++k) sum = std::fma(A[row][k], B[k][column], sum);
      d[i] = sum;
    }
  }
}

struct Load {
  std::uint32_t* fragments;
  unsigned count;
  bool transposed;
  const std::uint16_t* row;
};

void complete_load(Posts posts) {
  const unsigned count = static_cast<const Load*>(posts[0])->count;
  for (unsigned lane = 0; lane < kWarp; ++lane) {
    const auto& load = *static_cast<const Load*>(posts[lane]);
    for (unsigned i = 0; i < count; ++i) {
      const auto element = [&](unsigned row, unsigned column) -> std::uint32_t {
        return static_cast<const Load*>(posts[8 * i + row])->row[column];
      };
      const unsigned first = lane / 4, second = lane % 4 * 2;
      load.fragments[i] = load.transposed
                              ? element(second, first) | element(second + 1, first) << 16
                              : element(first, second) | element(first, second + 1) << 16;
    }
  }
}

}  // namespace

void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
              const Site& site) {
  Mma mma{d, a, b};
  collective("mma.m16n8k16", kAll, &mma, complete_mma, site);
}

void ldmatrix(std::uint32_t* fragments, int count, bool transposed, const void* row,
              const Site& site) {
  // Only the addresses of the first 8·count lanes are read.
  if (lane() < 8 * static_cast<unsigned>(count)) {
    if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0) {
      throw Error(fmt::format("ldmatrix: lane {}'s row is not at a multiple of 16 bytes", lane()));
    }
    if (!in_shared(row, 16)) {
      throw Error(
          fmt::format("ldmatrix: lane {}'s row is not within a piece of shared memory", lane()));
    }
  }
  Load load{fragments, static_cast<unsigned>(count), transposed,
            static_cast<const std::uint16_t*>(row)};
  collective("ldmatrix", kAll, &load, complete_load, site);
}

}  // namespace masque::emulator
