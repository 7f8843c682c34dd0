// For the files that are compiled once an instruction set (kernels/cpu_level.h). Helpers that such
// files share lie in an inline namespace of the level, so that the linker never takes one level's
// code for another's; tests/check_levels.sh holds the objects to it.
#pragma once

#include "kernels/backend.h"
#include "kernels/bf16.h"

#ifndef MASQUE_LEVEL
#define MASQUE_LEVEL portable
#endif
#define MASQUE_JOIN2(a, b) a##b
#define MASQUE_JOIN(a, b) MASQUE_JOIN2(a, b)
#define MASQUE_LEVEL_HELPERS MASQUE_JOIN(MASQUE_LEVEL, _helpers)

// The types a kernel is compiled for. f64 is for checks: AVX2 is enough.
#define MASQUE_INSTANTIATE_NARROW(name, Args)             \
  template void name(On<Cpu, float>, const Args<float>&); \
  template void name(On<Cpu, bf16>, const Args<bf16>&);
#ifdef __AVX512F__
#define MASQUE_INSTANTIATE(name, Args) MASQUE_INSTANTIATE_NARROW(name, Args)
#else
#define MASQUE_INSTANTIATE(name, Args)  \
  MASQUE_INSTANTIATE_NARROW(name, Args) \
  template void name(On<Cpu, double>, const Args<double>&);
#endif
