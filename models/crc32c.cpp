#include "models/crc32c.h"

#include <array>
#include <bit>
#include <cstring>

namespace masque {
namespace {

static_assert(std::endian::native == std::endian::little, "words are read as they lie");

constexpr std::uint32_t kPolynomial = 0x82f63b78;  // bits reversed
constexpr std::size_t kStride = 8;                 // bytes at once

// tables[k][b]: what byte b does to the sum with k bytes after it.
using Tables = std::array<std::array<std::uint32_t, 256>, kStride>;

constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t sum = byte;
    for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ ((sum & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = sum;
  }
  for (std::size_t k = 1; k < kStride; ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before) {
  std::uint32_t sum = ~before;
  while (bytes.size() >= kStride) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), kStride);
    word ^= sum;
    sum = 0;
    for (std::size_t k = 0; k < kStride; ++k) {
      sum ^= kTables[kStride - 1 - k][(word >> (8 * k)) & 0xff];
    }
    bytes = bytes.subspan(kStride);
  }
  for (const std::byte byte : bytes) {
    sum = (sum >> 8) ^ kTables[0][(sum ^ static_cast<std::uint32_t>(byte)) & 0xff];
  }
  return ~sum;
}

}  // namespace masque
