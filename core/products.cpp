#include "core/products.h"

#ifdef MASQUE_CUDA
#include "kernels/gpu_gemm.h"
#endif

namespace masque {

#ifdef MASQUE_CUDA

std::string product_algorithms(const Device& device) {
  return on_gpu(device) ? gpu_gemm_algorithms() : "";
}

bool use_product_algorithms(const Device& device, const std::string& record) {
  return on_gpu(device) && gpu_gemm_use(record);
}

#else

std::string product_algorithms(const Device& /*device*/) {
  return "";
}

bool use_product_algorithms(const Device& /*device*/, const std::string& /*record*/) {
  return false;
}

#endif

}  // namespace masque
