// Reproducible values for tests: Philox, keyed by a name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace masque::test {

std::uint64_t seed_of(const std::string& name);

// Standard normals, rounded to f32, so that f32 and f64 runs read the same numbers.
std::vector<double> normals(std::uint64_t seed, std::int64_t count);

// Uniform in low … high, both included.
std::vector<std::int32_t> integers(std::uint64_t seed, std::int64_t count, std::int32_t low,
                                   std::int32_t high);

}  // namespace masque::test
