#include "core/device.h"

#include <omp.h>

#include <cstring>
#include <new>
#include <utility>

#include "core/check.h"

namespace masque {
namespace {

constexpr std::align_val_t kAlignment{64};

}  // namespace

Device make_device(const std::string& device, const std::string& dtype) {
  if (device.rfind("cuda", 0) == 0) {
    throw InputError(
        fmt::format("--device {}: this build has no CUDA backend; use --device cpu", device));
  }
  if (device != "auto" && device != "cpu") {
    throw InputError(fmt::format("--device {}: must be auto or cpu", device));
  }
  if (dtype == "f32") return On<Cpu, float>{};
  if (dtype == "f64") return On<Cpu, double>{};
  throw InputError(fmt::format("--dtype {}: must be f32 or f64 on the CPU", dtype));
}

DType activation_dtype(const Device& device) {
  return std::visit([](auto on) { return dtype_of<typename decltype(on)::real>(); }, device);
}

DType param_dtype(const Device& device) {
  return std::visit([](auto on) { return dtype_of<param_t<typename decltype(on)::real>>(); },
                    device);
}

std::string describe(const Device& device) {
  return fmt::format("cpu {}, {} thread{}", name_of(activation_dtype(device)),
                     omp_get_max_threads(), omp_get_max_threads() == 1 ? "" : "s");
}

void set_threads(int threads) {
  if (threads < 0) throw InputError(fmt::format("--threads {}: must be 0 or more", threads));
  if (threads > 0) omp_set_num_threads(threads);
}

Memory::Memory(const Device& /*device*/, std::size_t bytes, const std::string& what)
    : size_(bytes) {
  if (bytes == 0) return;
  data_ = static_cast<std::byte*>(::operator new(bytes, kAlignment, std::nothrow));
  if (data_ == nullptr) {
    throw Error(fmt::format("out of memory: {} needs {:.1f} MiB", what,
                            static_cast<double>(bytes) / (1 << 20)));
  }
  std::memset(data_, 0, bytes);
}

Memory::Memory(Memory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Memory::~Memory() {
  ::operator delete(data_, kAlignment);
}

void copy_to_device(const Device& /*device*/, void* to, const void* from, std::size_t bytes) {
  std::memcpy(to, from, bytes);
}

void copy_to_host(const Device& /*device*/, void* to, const void* from, std::size_t bytes) {
  std::memcpy(to, from, bytes);
}

}  // namespace masque
