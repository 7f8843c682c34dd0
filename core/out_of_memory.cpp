#include "core/out_of_memory.h"

#include <array>

#include "core/check.h"

namespace masque {

std::string readable_bytes(std::size_t bytes) {
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 1024; ++unit) value /= 1024;
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

void out_of_memory(const std::string& what, std::size_t bytes, const std::string& mend,
                   const std::string& where) {
  throw Error(fmt::format("out of memory{}: {}: {} more are asked for: {}", where, what,
                          readable_bytes(bytes), mend));
}

}  // namespace masque
