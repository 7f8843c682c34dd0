// What the kernels that are compiled once a level throw: those files build no strings.
#include <string>

#include "kernels/attention_decode.h"

namespace masque {

void cache_is_full(std::int64_t entries, std::int64_t capacity) {
  throw Error("attention_decode: " + std::to_string(entries) + " positions do not fit a cache of " +
              std::to_string(capacity));
}

}  // namespace masque
