// What each wrapper of kernels/gpu.h, and each of CUDA's own functions that kernels call, gives on
// fixed inputs: recorded on hardware, then held against the emulator.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/gpu.h"

namespace masque::test {

// How two devices may differ.
enum class Match {
  bits,      // not at all
  bf16,      // words of two bf16: any NaN is like any other
  ulps,      // f32, by so many ulps; subnormal numbers count as 0
  absolute,  // f32
};

struct GoldenVector {
  std::string name;
  Match match;
  double limit;  // of ulps and absolute
  std::vector<std::uint32_t> words;
};

// Runs them all on the current device.
std::vector<GoldenVector> golden_vectors(cudaStream_t stream);

}  // namespace masque::test
