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
#define MASQUE_FOR_F32_AND_BF16(instantiate, ...) \
  instantiate(float, __VA_ARGS__) instantiate(bf16, __VA_ARGS__)
#ifdef MASQUE_LEVEL_WITHOUT_F64
#define MASQUE_FOR_TYPES(...) MASQUE_FOR_F32_AND_BF16(__VA_ARGS__)
#else
#define MASQUE_FOR_TYPES(instantiate, ...) \
  MASQUE_FOR_F32_AND_BF16(instantiate, __VA_ARGS__) instantiate(double, __VA_ARGS__)
#endif
#define MASQUE_INSTANTIATE_ONE(Real, name, Args) \
  template void name(On<Cpu, Real>, const Args<Real>&);
#define MASQUE_INSTANTIATE_TWO(Real, name, First, Second) \
  template void name(On<Cpu, Real>, const First<Real>&, const Second<Real>&);
#define MASQUE_INSTANTIATE(name, Args) MASQUE_FOR_TYPES(MASQUE_INSTANTIATE_ONE, name, Args)
#define MASQUE_INSTANTIATE_PAIR(name, First, Second) \
  MASQUE_FOR_TYPES(MASQUE_INSTANTIATE_TWO, name, First, Second)
