// The one dispatch point, for place and type together: std::visit on a Device picks the kernel's
// overload.
#pragma once

#include <cstddef>
#include <string>
#include <variant>

#include "core/dtype.h"
#include "kernels/backend.h"

namespace masque {

using Device = std::variant<On<Cpu, float>, On<Cpu, double>>;

// device: "auto" or "cpu"; dtype: "f32" or "f64". InputError for anything else, naming what this
// build has.
Device make_device(const std::string& device, const std::string& dtype);

DType activation_dtype(const Device& device);
DType param_dtype(const Device& device);     // of master weights, gradients, statistics
std::string describe(const Device& device);  // "cpu f32, 2 threads"

// Number of CPU threads from here on; 0 leaves the default (OMP_NUM_THREADS, else all cores).
void set_threads(int threads);

// Memory on a device, zeroed, aligned to 64 bytes. Move-only.
class Memory {
 public:
  Memory() = default;
  Memory(const Device& device, std::size_t bytes, const std::string& what);
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
};

// Copies between host and device memory; synchronous.
void copy_to_device(const Device& device, void* to, const void* from, std::size_t bytes);
void copy_to_host(const Device& device, void* to, const void* from, std::size_t bytes);

}  // namespace masque
