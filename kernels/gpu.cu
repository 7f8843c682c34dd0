#include <algorithm>
#include <map>
#include <string>

#include "kernels/gpu.h"

namespace masque {
namespace {

struct Scratch {
  void* memory = nullptr;
  std::size_t bytes = 0;
  unsigned* counters = nullptr;
};

Scratch& scratch_of(cudaStream_t stream) {
  static std::map<cudaStream_t, Scratch> all;
  return all[stream];
}

void* allocate(cudaStream_t stream, std::size_t bytes) {
  cudaStreamCaptureStatus status{};
  GPU_CHECK(cudaStreamIsCapturing(stream, &status));
  if (status != cudaStreamCaptureStatusNone) {
    throw Error("scratch: " + std::to_string(bytes) +
                " bytes more than the first step took, but a captured step cannot grow");
  }
  void* memory = nullptr;
  if (cudaMalloc(&memory, bytes) != cudaSuccess) {
    cudaGetLastError();  // or the next call reports it
    throw Error("out of memory on the GPU: scratch of the kernels: " + std::to_string(bytes >> 20) +
                " MiB are asked for: lower batch or context");
  }
  return memory;
}

}  // namespace

void gpu_check(cudaError_t code, const char* call) {
  if (code == cudaSuccess) return;
  throw Error(std::string("CUDA: ") + call + ": " + cudaGetErrorString(code));
}

std::string gpu_name() {
  int device = 0;
  cudaDeviceProp properties{};
  GPU_CHECK(cudaGetDevice(&device));
  GPU_CHECK(cudaGetDeviceProperties(&properties, device));
  return properties.name;
}

GpuLimits gpu_limits() {
  int device = 0, multiprocessors = 0, shared = 0;
  GPU_CHECK(cudaGetDevice(&device));
  GPU_CHECK(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device));
  GPU_CHECK(cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  return {multiprocessors, static_cast<std::size_t>(shared)};
}

// A smaller buffer is kept, not freed: a captured step may hold its address.
void* gpu_scratch(cudaStream_t stream, std::size_t bytes) {
  Scratch& scratch = scratch_of(stream);
  if (bytes > scratch.bytes) {
    const std::size_t grown = std::max(bytes, 2 * scratch.bytes);
    scratch.memory = allocate(stream, grown);
    scratch.bytes = grown;
  }
  return scratch.memory;
}

unsigned* gpu_counters(cudaStream_t stream) {
  Scratch& scratch = scratch_of(stream);
  if (scratch.counters == nullptr) {
    const std::size_t bytes = kGpuCounters * sizeof(unsigned);
    scratch.counters = static_cast<unsigned*>(allocate(stream, bytes));
    GPU_CHECK(cudaMemsetAsync(scratch.counters, 0, bytes, stream));
  }
  return scratch.counters;
}

}  // namespace masque
