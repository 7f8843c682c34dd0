#include "core/upload.h"

#include <new>

#include "core/out_of_memory.h"
#ifdef MASQUE_CUDA
#include "kernels/gpu.h"
#endif

namespace masque {
namespace {

template <class Real>
void make(On<Cpu, Real>, std::byte*& bytes, CUevent_st*&, std::size_t size) {
  bytes = taking_memory("a batch on its way", size, kSmallerStep,
                        [size] { return static_cast<std::byte*>(::operator new(size)); });
}
template <class Real>
void destroy(On<Cpu, Real>, std::byte* bytes, CUevent_st*) {
  ::operator delete(bytes);
}
template <class Real>
void wait(On<Cpu, Real>, CUevent_st*) {}
template <class Real>
void mark(On<Cpu, Real>, CUevent_st*) {}

#ifdef MASQUE_CUDA
template <class Real>
void make(On<Cuda, Real>, std::byte*& bytes, CUevent_st*& sent, std::size_t size) {
  void* memory = nullptr;
  GPU_CHECK(cudaMallocHost(&memory, size));
  bytes = static_cast<std::byte*>(memory);
  GPU_CHECK(cudaEventCreateWithFlags(&sent, cudaEventDisableTiming));
}
template <class Real>
void destroy(On<Cuda, Real>, std::byte* bytes, CUevent_st* sent) {
  cudaEventDestroy(sent);
  cudaFreeHost(bytes);
}
template <class Real>
void wait(On<Cuda, Real>, CUevent_st* sent) {
  GPU_CHECK(cudaEventSynchronize(sent));
}
template <class Real>
void mark(On<Cuda, Real> on, CUevent_st* sent) {
  GPU_CHECK(cudaEventRecord(sent, on.stream));
}
#endif

}  // namespace

Upload::Upload(Device device, std::size_t bytes) : device_(device), size_(bytes) {
  for (Slot& slot : slots_) {
    std::visit([&](auto on) { make(on, slot.bytes, slot.sent, bytes); }, device_);
  }
}

Upload::~Upload() {
  for (const Slot& slot : slots_) {
    std::visit([&](auto on) { destroy(on, slot.bytes, slot.sent); }, device_);
  }
}

std::byte* Upload::buffer() {
  std::visit([&](auto on) { wait(on, slots_[next_].sent); }, device_);
  return slots_[next_].bytes;
}

void Upload::send(void* to) {
  copy_on_device(device_, to, slots_[next_].bytes, size_);
  std::visit([&](auto on) { mark(on, slots_[next_].sent); }, device_);
  next_ = 1 - next_;
}

}  // namespace masque
