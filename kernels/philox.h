// Philox 4x32-10, a counter-based generator: the same bits for the same (key, counter) on every
// device. Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
#pragma once

#include <array>
#include <cstdint>

namespace masque {

// What a draw is for: the high half of the stream word, so that no two uses share bits.
enum class Purpose : std::uint32_t {
  init = 1,        // parameter initialisation
  mask_ratio = 2,  // t of a row
  mask = 3,        // which positions are masked
  dropout = 4,     // residual and embedding dropout, low half: layer
  attention = 5,   // attention dropout, low half: layer
  data = 6,        // order of sequences, crops
  sample = 7,      // generation
  likelihood = 8,  // subsets drawn by estimators
  bootstrap = 9,   // resampling for intervals
  source = 10,     // the synthetic source
};

constexpr std::uint32_t stream_of(Purpose purpose, std::uint32_t index = 0) {
  return (static_cast<std::uint32_t>(purpose) << 16) | (index & 0xffffu);
}

// Four random words for one counter. counter: {index, row, step, stream}.
constexpr std::array<std::uint32_t, 4> philox(std::uint64_t seed,
                                              std::array<std::uint32_t, 4> counter) {
  std::uint32_t key0 = static_cast<std::uint32_t>(seed);
  std::uint32_t key1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key0,
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key1,
               static_cast<std::uint32_t>(product0)};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

// The word of element `index` of `row`: lane index % 4 of counter {index / 4, row, step, stream}.
// Kernels that walk a row in order draw four elements a call with the same result.
constexpr std::uint32_t philox_word(std::uint64_t seed, std::uint32_t stream, std::uint32_t step,
                                    std::uint32_t row, std::uint64_t index) {
  return philox(seed, {static_cast<std::uint32_t>(index / 4), row, step, stream})[index % 4];
}

// Uniform in (0, 1), centred: never 0, never 1. Exact in double.
constexpr double uniform(std::uint32_t word) {
  return (word + 0.5) * 0x1p-32;
}

// P(word < threshold(p)) = p: how dropout and masking compare, in integers, equal on every device.
constexpr std::uint64_t threshold(double p) {
  return static_cast<std::uint64_t>(p * 0x1p32);
}

}  // namespace masque
