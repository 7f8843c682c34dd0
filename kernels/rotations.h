// The angles of rope on the CPU, kept by each thread because every layer asks for the same ones.
#pragma once

#include <cstdint>

namespace masque {

template <class Stat>
struct Rotations {
  const Stat *cosines, *sines;  // (T,half)
};

// Of positions first_position … + T − 1: position·theta^(−i/half) for i < half. Valid until this
// thread's next call.
template <class Stat>
Rotations<Stat> rotations(std::int64_t first_position, std::int64_t T, std::int64_t half,
                          double theta);

}  // namespace masque
