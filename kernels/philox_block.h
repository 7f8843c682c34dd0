// Philox for 256 elements in a row at a time, lanes side by side so that it vectorises: the same
// words as philox_word, one by one.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/philox.h"

namespace masque {

inline constexpr std::int64_t kPhiloxBlock = 256;
using PhiloxBlock = std::array<std::uint32_t, kPhiloxBlock>;

// words[i] = philox_word(seed, stream, step, row, kPhiloxBlock·block + i).
inline void philox_block(std::uint64_t seed, std::uint32_t stream, std::uint32_t step,
                         std::uint32_t row, std::int64_t block, PhiloxBlock& words) {
  constexpr std::int64_t lanes = kPhiloxBlock / 4;
  std::uint32_t c0[lanes], c1[lanes], c2[lanes], c3[lanes];
  for (std::int64_t lane = 0; lane < lanes; ++lane) {
    c0[lane] = static_cast<std::uint32_t>(block * lanes + lane);
    c1[lane] = row;
    c2[lane] = step;
    c3[lane] = stream;
  }
  std::uint32_t key0 = static_cast<std::uint32_t>(seed);
  std::uint32_t key1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
#pragma omp simd
    for (std::int64_t lane = 0; lane < lanes; ++lane) {
      const std::uint64_t product0 = std::uint64_t{0xD2511F53u} * c0[lane];
      const std::uint64_t product1 = std::uint64_t{0xCD9E8D57u} * c2[lane];
      c0[lane] = static_cast<std::uint32_t>(product1 >> 32) ^ c1[lane] ^ key0;
      c1[lane] = static_cast<std::uint32_t>(product1);
      c2[lane] = static_cast<std::uint32_t>(product0 >> 32) ^ c3[lane] ^ key1;
      c3[lane] = static_cast<std::uint32_t>(product0);
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  for (std::int64_t lane = 0; lane < lanes; ++lane) {
    words[4 * lane] = c0[lane];
    words[4 * lane + 1] = c1[lane];
    words[4 * lane + 2] = c2[lane];
    words[4 * lane + 3] = c3[lane];
  }
}

}  // namespace masque
