#include "kernels/philox.h"

#include <cmath>

#include "kernels/philox_block.h"
#include "tests/support/catch.h"

namespace masque {
namespace {

using Counter = std::array<std::uint32_t, 4>;

constexpr std::uint64_t key(std::uint32_t key0, std::uint32_t key1) {
  return (static_cast<std::uint64_t>(key1) << 32) | key0;
}

TEST_CASE("philox gives the known answers of its paper", "[cpu]") {
  CHECK(philox(0, {0, 0, 0, 0}) == Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  constexpr std::uint32_t ones = 0xffffffff;
  CHECK(philox(key(ones, ones), {ones, ones, ones, ones}) ==
        Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox(key(0xa4093822, 0x299f31d0), {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}) ==
        Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a philox word is a lane of the counter of four elements", "[cpu]") {
  for (const std::uint64_t index : {0u, 1u, 6u, 1027u}) {
    const std::uint32_t counter = static_cast<std::uint32_t>(index / 4);
    CHECK(philox_word(11, 7, 5, 3, index) == philox(11, {counter, 3, 5, 7})[index % 4]);
  }
}

TEST_CASE("a philox block holds the same words as philox_word", "[cpu]") {
  std::uint32_t words[64];
  for (const std::uint32_t counter : {0u, 1u, 12345u}) {
    philox_block<16>(0x123456789abcdefULL, 7, 5, 3, counter, words);
    for (std::uint32_t i = 0; i < 64; ++i) {
      REQUIRE(words[i] == philox_word(0x123456789abcdefULL, 7, 5, 3, 4 * counter + i));
    }
  }
}

TEST_CASE("uniforms are open at both ends, and thresholds count words", "[cpu]") {
  CHECK(uniform(0) > 0);
  CHECK(uniform(0xffffffff) < 1);
  CHECK(threshold(0) == 0);
  CHECK(threshold(0.25) == 0x40000000u);
  CHECK(threshold(1) == 0x100000000u);
}

TEST_CASE("purposes and layers have streams of their own", "[cpu]") {
  CHECK(stream_of(Purpose::dropout, 1) != stream_of(Purpose::dropout, 2));
  CHECK(stream_of(Purpose::dropout, 1) != stream_of(Purpose::attention, 1));
  CHECK(stream_of(Purpose::mask) != stream_of(Purpose::mask_ratio));
}

}  // namespace
}  // namespace masque
