// Sizes and indices are std::int64_t here, and std::size_t in the standard library.
#pragma once

#include <cstddef>
#include <cstdint>

namespace masque {

inline std::size_t at(std::int64_t index) {
  return static_cast<std::size_t>(index);
}

}  // namespace masque
