// Philox for many counters in a row, side by side so that it vectorises: the words of philox_word.
#pragma once

#include <cstdint>

#include "kernels/level.h"
#include "kernels/philox.h"

namespace masque {
inline namespace MASQUE_LEVEL_HELPERS {

// words[i] = philox_word(seed, stream, step, row, 4·first_counter + i), for i < 4·Counters.
template <int Counters>
void philox_block(std::uint64_t seed, std::uint32_t stream, std::uint32_t step, std::uint32_t row,
                  std::uint32_t first_counter, std::uint32_t* words) {
  std::uint32_t c0[Counters], c1[Counters], c2[Counters], c3[Counters];
  for (int lane = 0; lane < Counters; ++lane) {
    c0[lane] = first_counter + static_cast<std::uint32_t>(lane);
    c1[lane] = row;
    c2[lane] = step;
    c3[lane] = stream;
  }
  std::uint32_t key0 = static_cast<std::uint32_t>(seed);
  std::uint32_t key1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
#pragma omp simd
    for (int lane = 0; lane < Counters; ++lane) {
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
  for (int lane = 0; lane < Counters; ++lane) {
    words[4 * lane] = c0[lane];
    words[4 * lane + 1] = c1[lane];
    words[4 * lane + 2] = c2[lane];
    words[4 * lane + 3] = c3[lane];
  }
}

}  // namespace MASQUE_LEVEL_HELPERS
}  // namespace masque
