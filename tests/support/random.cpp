#include "tests/support/random.h"

#include <cmath>

#include "kernels/philox.h"

namespace masque::test {
namespace {

constexpr std::uint32_t kStream = 0x7e570000;
constexpr double kTwoPi = 6.283185307179586;

}  // namespace

// FNV-1a.
std::uint64_t seed_of(const std::string& name) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char character : name) {
    hash = (hash ^ static_cast<unsigned char>(character)) * 0x100000001b3u;
  }
  return hash;
}

// Box and Muller 1958.
std::vector<double> normals(std::uint64_t seed, std::int64_t count) {
  std::vector<double> result(static_cast<std::size_t>(count));
  for (std::size_t index = 0; index < result.size(); ++index) {
    const auto words = philox(seed, {static_cast<std::uint32_t>(index), 0, 0, kStream});
    const double radius = std::sqrt(-2 * std::log(uniform(words[0])));
    result[index] = static_cast<float>(radius * std::cos(kTwoPi * uniform(words[1])));
  }
  return result;
}

std::vector<std::int32_t> integers(std::uint64_t seed, std::int64_t count, std::int32_t low,
                                   std::int32_t high) {
  std::vector<std::int32_t> result(static_cast<std::size_t>(count));
  for (std::size_t index = 0; index < result.size(); ++index) {
    const auto words = philox(seed, {static_cast<std::uint32_t>(index), 1, 0, kStream});
    result[index] = low + static_cast<std::int32_t>(uniform(words[0]) * (high - low + 1));
  }
  return result;
}

}  // namespace masque::test
