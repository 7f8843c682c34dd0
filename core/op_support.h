// What the op files share.
#pragma once

#include "core/parameter.h"
#include "core/tensor.h"
#include "kernels/backend.h"

namespace masque {

// The activation type of an On<…>, and its parameter type.
template <class OnType>
using real_of = typename OnType::real;
template <class OnType>
using param_of = param_t<typename OnType::real>;

inline std::int64_t rows_of(const Tensor& x) {
  return x.shape.count() / x.shape[-1];
}

// An optional parameter's values or gradient.
template <class Type>
Type* data_or_null(const Parameter* parameter) {
  return parameter == nullptr ? nullptr : parameter->master.as<Type>();
}

template <class Type>
Type* grad_or_null(const Parameter* parameter) {
  return parameter == nullptr ? nullptr : parameter->grad.as<Type>();
}

}  // namespace masque
