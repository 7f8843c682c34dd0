#include "core/tensor.h"

#include "core/check.h"

namespace masque {

void Tensor::require(DType wanted) const {
  CHECK(dtype == wanted, "tensor {}: is {}, not {}", shape, name_of(dtype), name_of(wanted));
}

}  // namespace masque
