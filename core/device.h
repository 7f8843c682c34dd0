// The one dispatch point, for place and type together: std::visit on a Device picks the kernel's
// overload.
#pragma once

#include <cstddef>
#include <string>
#include <variant>

#include "core/dtype.h"
#include "kernels/backend.h"

namespace masque {

#ifdef MASQUE_CUDA
using Device =
    std::variant<On<Cpu, float>, On<Cpu, bf16>, On<Cpu, double>, On<Cuda, float>, On<Cuda, bf16>>;
#else
using Device = std::variant<On<Cpu, float>, On<Cpu, bf16>, On<Cpu, double>>;
#endif

// device: "auto", "cpu", "cuda" or "cuda:N"; dtype: "auto", "f32", "bf16" or "f64" (CPU). auto is
// the first GPU, in bf16, else the CPU, in bf16 where it has products of bf16
// (kernels/cpu_level.h), else in f32. One GPU a process. InputError for anything else, naming
// what this build and machine have.
Device make_device(const std::string& device, const std::string& dtype);

bool on_gpu(const Device& device);
DType activation_dtype(const Device& device);
DType param_dtype(const Device& device);     // of master weights, gradients, statistics
std::string describe(const Device& device);  // "cpu avx2 f32, 2 threads"; "NVIDIA H100 bf16"

// Memory on a device, zeroed, aligned to 64 bytes. Move-only. Where there is none, an Error: what
// asked for how much, and mend, what to change.
class Memory {
 public:
  Memory() = default;
  Memory(const Device& device, std::size_t bytes, const std::string& what,
         const std::string& mend = "free some memory");
  Memory(Memory&& other) noexcept;
  Memory& operator=(Memory&& other) noexcept;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory();

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  void (*release_)(void*) = nullptr;
};

// Copies between host and device memory: done, and everything before them, when they return.
void copy_to_device(const Device& device, void* to, const void* from, std::size_t bytes);
void copy_to_host(const Device& device, void* to, const void* from, std::size_t bytes);
// In the order of the device's work; on a GPU not waited for.
void copy_on_device(const Device& device, void* to, const void* from, std::size_t bytes);
void fill_zero(const Device& device, void* memory, std::size_t bytes);

}  // namespace masque
