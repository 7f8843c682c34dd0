// Element types of tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/bf16.h"

namespace masque {

enum class DType { f32, f64, bf16, i32 };

constexpr std::size_t size_of(DType dtype) {
  return dtype == DType::f64 ? 8 : dtype == DType::bf16 ? 2 : 4;
}

constexpr std::size_t bytes_of(std::int64_t count, DType dtype) {
  return static_cast<std::size_t>(count) * size_of(dtype);
}

constexpr const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::bf16:
      return "bf16";
    case DType::i32:
      return "i32";
  }
  return "?";
}

template <class Type>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<Type, float>) return DType::f32;
  if constexpr (std::is_same_v<Type, double>) return DType::f64;
  if constexpr (std::is_same_v<Type, bf16>) return DType::bf16;
  if constexpr (std::is_same_v<Type, std::int32_t>) return DType::i32;
}

}  // namespace masque
