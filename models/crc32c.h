// CRC-32C (Castagnoli): any one flipped bit, and any run of damage up to 32 bits long, changes it.
// RFC 3720, appendix B.4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace masque {

// before: the sum of what came before these bytes.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before = 0);

}  // namespace masque
