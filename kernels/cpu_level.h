// The CPU's instruction sets. The files of CMakeLists.txt's `cpu_kernels` are compiled once a
// level, each time in a namespace of the level's name (MASQUE_LEVEL); cpu_dispatch.cpp defines the
// kernels that the headers declare and calls the level in use. Nothing else of the program needs
// more than the compiler's default instruction set, so one binary runs anywhere
// (docs/decisions/0012-instruction-sets.md).
#pragma once

#include <string>
#include <vector>

namespace masque {

enum class CpuLevel {
  portable,     // what the compiler takes for granted: SSE2 on x86-64
  avx2,         // AVX2, FMA
  avx512,       // AVX-512 F, BW, DQ, VL
  avx512_bf16,  // and products of bf16 pairs
  amx,          // and tiles of bf16
};

// The level in use: the best of this build on this CPU, or the one named by the environment
// variable MASQUE_CPU (InputError where there is no such level here), or the last one set.
CpuLevel cpu_level();
void set_cpu_level(CpuLevel level);

std::vector<CpuLevel> cpu_levels();    // those of this build that this CPU can run, worst first
std::vector<CpuLevel> built_levels();  // those of this build, worst first
const char* name_of(CpuLevel level);

}  // namespace masque
