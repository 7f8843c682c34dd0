// A contiguous, non-owning view: the memory belongs to an Arena or a ParameterStore.
#pragma once

#include <fmt/format.h>

#include "core/dtype.h"
#include "core/shape.h"

template <>
struct fmt::formatter<masque::Shape> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }
  template <class Context>
  auto format(const masque::Shape& shape, Context& context) const {
    return fmt::format_to(context.out(), "{}", shape.to_string());
  }
};

namespace masque {

struct Tensor {
  Shape shape;
  DType dtype = DType::f32;
  void* data = nullptr;
  void* grad = nullptr;  // same shape and type; null where no gradient is wanted
  int id = -1;           // on its tape; -1: not an activation

  template <class Type>
  Type* as() const {
    require(dtype_of<Type>());
    return static_cast<Type*>(data);
  }
  template <class Type>
  Type* grad_as() const {
    if (grad != nullptr) require(dtype_of<Type>());
    return static_cast<Type*>(grad);
  }

 private:
  void require(DType wanted) const;  // or an Error
};

}  // namespace masque
