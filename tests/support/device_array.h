// Arrays in device memory, for tests of kernels; a stream of their own.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/gpu.h"

namespace masque::test {

inline cudaStream_t test_stream() {
  static cudaStream_t stream = [] {
    cudaStream_t made = nullptr;
    GPU_CHECK(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking));
    return made;
  }();
  return stream;
}

// On<Cuda, Real> of the tests' stream.
template <class Real>
On<Cuda, Real> on_gpu() {
  return {test_stream()};
}

template <class Type>
class DeviceArray {
 public:
  // Every byte is 0xff: NaN.
  explicit DeviceArray(std::size_t count) : count_(count) {
    void* memory = nullptr;
    GPU_CHECK(cudaMalloc(&memory, bytes()));
    data_ = static_cast<Type*>(memory);
    GPU_CHECK(cudaMemsetAsync(data_, 0xff, bytes(), test_stream()));
  }
  explicit DeviceArray(const std::vector<Type>& values) : DeviceArray(values.size()) {
    GPU_CHECK(
        cudaMemcpyAsync(data_, values.data(), bytes(), cudaMemcpyHostToDevice, test_stream()));
    GPU_CHECK(cudaStreamSynchronize(test_stream()));
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() { cudaFree(data_); }

  Type* data() const { return data_; }
  std::size_t size() const { return count_; }
  std::vector<Type> read() const {
    std::vector<Type> values(count_);
    GPU_CHECK(
        cudaMemcpyAsync(values.data(), data_, bytes(), cudaMemcpyDeviceToHost, test_stream()));
    GPU_CHECK(cudaStreamSynchronize(test_stream()));
    return values;
  }

 private:
  std::size_t bytes() const { return count_ * sizeof(Type); }

  Type* data_ = nullptr;
  std::size_t count_;
};

}  // namespace masque::test
