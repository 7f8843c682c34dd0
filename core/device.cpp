#include "core/device.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <optional>
#include <utility>

#include "core/check.h"
#include "core/out_of_memory.h"
#include "core/threads.h"
#include "kernels/cpu_level.h"
#ifdef MASQUE_CUDA
#include "kernels/gpu.h"
#endif

namespace masque {
namespace {

constexpr std::align_val_t kAlignment{64};

// What each place does with memory; the CUDA overloads follow.

template <class Real>
void* allocate(On<Cpu, Real>, std::size_t bytes, const std::string& what, const std::string& mend) {
  void* memory = ::operator new(bytes, kAlignment, std::nothrow);
  if (memory == nullptr) out_of_memory(what, bytes, mend);
  return memory;
}

template <class Real>
auto releaser(On<Cpu, Real>) {
  return [](void* memory) { ::operator delete(memory, kAlignment); };
}

template <class Real>
void copy(On<Cpu, Real>, void* to, const void* from, std::size_t bytes) {
  std::memcpy(to, from, bytes);
}

template <class Real>
void zero(On<Cpu, Real>, void* memory, std::size_t bytes) {
  std::memset(memory, 0, bytes);
}

template <class Real>
void wait(On<Cpu, Real>) {}

template <class Real>
std::string name(On<Cpu, Real>) {
  return std::string("cpu ") + name_of(cpu_level());
}

#ifdef MASQUE_CUDA

template <class Real>
void* allocate(On<Cuda, Real>, std::size_t bytes, const std::string& what,
               const std::string& mend) {
  void* memory = nullptr;
  if (cudaMalloc(&memory, bytes) != cudaSuccess) {
    cudaGetLastError();  // or the next call reports it
    std::size_t free = 0, total = 0;
    GPU_CHECK(cudaMemGetInfo(&free, &total));
    out_of_memory(what, bytes, mend,
                  fmt::format(" on the GPU ({} of its {} are free)", readable_bytes(free),
                              readable_bytes(total)));
  }
  return memory;
}

template <class Real>
auto releaser(On<Cuda, Real>) {
  return [](void* memory) { cudaFree(memory); };
}

template <class Real>
void copy(On<Cuda, Real> on, void* to, const void* from, std::size_t bytes) {
  GPU_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, on.stream));
}

template <class Real>
void zero(On<Cuda, Real> on, void* memory, std::size_t bytes) {
  GPU_CHECK(cudaMemsetAsync(memory, 0, bytes, on.stream));
}

template <class Real>
void wait(On<Cuda, Real> on) {
  GPU_CHECK(cudaStreamSynchronize(on.stream));
}

template <class Real>
std::string name(On<Cuda, Real>) {
  return gpu_name();
}

// All of masque's work on a GPU: one stream, made once, on the first GPU asked for.
cudaStream_t gpu_stream(int number) {
  struct Made {
    int number;
    cudaStream_t stream;
  };
  static const Made made = [number] {
    cudaStream_t stream = nullptr;
    GPU_CHECK(cudaSetDevice(number));
    GPU_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    return Made{number, stream};
  }();
  if (made.number != number) {
    throw InputError(
        fmt::format("--device cuda:{}: this process works on cuda:{}; start another for it", number,
                    made.number));
  }
  GPU_CHECK(cudaSetDevice(number));  // of this thread
  return made.stream;
}

int gpu_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return count;
}

// "cuda" or "cuda:N" as a number; nothing for another word.
std::optional<int> gpu_number(const std::string& device) {
  if (device == "cuda") return 0;
  if (device.rfind("cuda:", 0) != 0 || device.size() < 6 || device.size() > 8) return std::nullopt;
  const std::string digits = device.substr(5);
  const auto is_digit = [](char character) { return character >= '0' && character <= '9'; };
  if (!std::all_of(digits.begin(), digits.end(), is_digit)) return std::nullopt;
  return std::stoi(digits);
}

#endif

}  // namespace

Device make_device(const std::string& device, const std::string& dtype) {
#ifdef MASQUE_CUDA
#ifdef MASQUE_EMULATE
  const std::string choice = device == "auto" ? "cpu" : device;  // the emulator is for tests
#else
  const std::string choice = device == "auto" && gpu_count() > 0 ? "cuda" : device;
#endif
  if (const std::optional<int> number = gpu_number(choice)) {
    if (*number >= gpu_count()) {
      throw InputError(fmt::format("--device {}: this machine has {} GPU{}; use {}", device,
                                   gpu_count(), gpu_count() == 1 ? "" : "s",
                                   gpu_count() > 0 ? "cuda:0" : "--device cpu"));
    }
    if (dtype == "f32") return On<Cuda, float>{gpu_stream(*number)};
    if (dtype == "bf16" || dtype == "auto") return On<Cuda, bf16>{gpu_stream(*number)};
    throw InputError(fmt::format("--dtype {}: must be auto, f32 or bf16 on a GPU", dtype));
  }
  constexpr const char* kChoices = "auto, cpu, cuda or cuda:N";
#else
  if (device.rfind("cuda", 0) == 0) {
    throw InputError(
        fmt::format("--device {}: this build has no CUDA backend; use --device cpu", device));
  }
  constexpr const char* kChoices = "auto or cpu";
#endif
  if (device != "auto" && device != "cpu") {
    throw InputError(fmt::format("--device {}: must be {}", device, kChoices));
  }
  const bool multiplies_bf16 = cpu_level() >= CpuLevel::avx512_bf16;
  if (dtype == "bf16" || (dtype == "auto" && multiplies_bf16)) return On<Cpu, bf16>{};
  if (dtype == "f32" || dtype == "auto") return On<Cpu, float>{};
  if (dtype == "f64") return On<Cpu, double>{};
  throw InputError(fmt::format("--dtype {}: must be auto, f32, bf16 or f64 on the CPU", dtype));
}

bool on_gpu(const Device& device) {
  return std::visit([](auto on) { return std::is_same_v<typename decltype(on)::device, Cuda>; },
                    device);
}

DType activation_dtype(const Device& device) {
  return std::visit([](auto on) { return dtype_of<typename decltype(on)::real>(); }, device);
}

DType param_dtype(const Device& device) {
  return std::visit([](auto on) { return dtype_of<param_t<typename decltype(on)::real>>(); },
                    device);
}

std::string describe(const Device& device) {
  const std::string type = std::visit([](auto on) { return name(on); }, device) + " " +
                           name_of(activation_dtype(device));
  if (on_gpu(device)) return type;
  return fmt::format("{}, {} thread{}", type, max_threads(), max_threads() == 1 ? "" : "s");
}

Memory::Memory(const Device& device, std::size_t bytes, const std::string& what,
               const std::string& mend)
    : size_(bytes) {
  if (bytes == 0) return;
  std::visit(
      [&](auto on) {
        data_ = static_cast<std::byte*>(allocate(on, bytes, what, mend));
        release_ = releaser(on);
        zero(on, data_, bytes);
      },
      device);
}

Memory::Memory(Memory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      release_(other.release_) {}

Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(release_, other.release_);
  return *this;
}

Memory::~Memory() {
  if (data_ != nullptr) release_(data_);
}

void copy_to_device(const Device& device, void* to, const void* from, std::size_t bytes) {
  copy_on_device(device, to, from, bytes);
  std::visit([](auto on) { wait(on); }, device);
}

void copy_to_host(const Device& device, void* to, const void* from, std::size_t bytes) {
  copy_on_device(device, to, from, bytes);
  std::visit([](auto on) { wait(on); }, device);
}

void copy_on_device(const Device& device, void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  std::visit([&](auto on) { copy(on, to, from, bytes); }, device);
}

void fill_zero(const Device& device, void* memory, std::size_t bytes) {
  if (bytes == 0) return;
  std::visit([&](auto on) { zero(on, memory, bytes); }, device);
}

}  // namespace masque
