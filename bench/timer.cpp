#include "bench/timer.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>

#include "core/check.h"
#ifdef MASQUE_CUDA
#include "kernels/gpu.h"
#endif

namespace masque::bench {
namespace {

class CpuTimer : public Timer {
 public:
  void start() override { start_ = Clock::now(); }
  void stop() override { stop_ = Clock::now(); }
  double seconds() override { return std::chrono::duration<double>(stop_ - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_, stop_;
};

template <class Real>
std::unique_ptr<Timer> timer_on(On<Cpu, Real>) {
  return std::make_unique<CpuTimer>();
}

#ifdef MASQUE_CUDA

class GpuTimer : public Timer {
 public:
  explicit GpuTimer(cudaStream_t stream) : stream_(stream) {
    GPU_CHECK(cudaEventCreate(&start_));
    GPU_CHECK(cudaEventCreate(&stop_));
  }
  GpuTimer(const GpuTimer&) = delete;
  GpuTimer& operator=(const GpuTimer&) = delete;
  ~GpuTimer() override {
    cudaEventDestroy(start_);
    cudaEventDestroy(stop_);
  }
  void start() override { GPU_CHECK(cudaEventRecord(start_, stream_)); }
  void stop() override { GPU_CHECK(cudaEventRecord(stop_, stream_)); }
  double seconds() override {
    float milliseconds = 0;
    GPU_CHECK(cudaEventSynchronize(stop_));
    GPU_CHECK(cudaEventElapsedTime(&milliseconds, start_, stop_));
    return milliseconds / 1e3;
  }

 private:
  cudaStream_t stream_;
  cudaEvent_t start_ = nullptr, stop_ = nullptr;
};

template <class Real>
std::unique_ptr<Timer> timer_on(On<Cuda, Real> on) {
  return std::make_unique<GpuTimer>(on.stream);
}

#endif

// Large beside any cache; on a GPU also long beside a launch.
std::size_t flush_bytes(const Device& device) {
  return std::size_t{on_gpu(device) ? 512u : 128u} << 20;
}

}  // namespace

std::unique_ptr<Timer> make_timer(const Device& device) {
  return std::visit([](auto on) { return timer_on(on); }, device);
}

CacheFlush::CacheFlush(const Device& device)
    : device_(device), memory_(device, flush_bytes(device), "flushing the caches") {}

void CacheFlush::operator()() {
  if (on_gpu(device_)) return fill_zero(device_, memory_.data(), memory_.size());
  constexpr std::size_t kLine = 64;
  std::byte* bytes = memory_.data();
  const std::size_t size = memory_.size();
#pragma omp parallel for schedule(static)
  for (std::size_t at = 0; at < size; at += kLine) bytes[at] ^= std::byte{1};
}

std::size_t free_bytes([[maybe_unused]] const Device& device) {
  std::size_t free = 0;
#ifdef MASQUE_CUDA
  std::size_t total = 0;
  if (on_gpu(device)) GPU_CHECK(cudaMemGetInfo(&free, &total));
#endif
  return free;
}

std::size_t peak_bytes() {
  std::ifstream status("/proc/self/status");
  const std::string key = "VmHWM:";
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(key, 0) == 0) return std::stoull(line.substr(key.size())) << 10;  // from kB
  }
  throw Error("/proc/self/status says no VmHWM: the peak memory is unknown");
}

Spread spread_of(std::vector<double> values) {
  CHECK(!values.empty(), "spread: no values");
  std::sort(values.begin(), values.end());
  const auto quantile = [&](double share) {
    const double at = share * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::size_t>(at);
    const std::size_t above = std::min(below + 1, values.size() - 1);
    return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
  };
  return {quantile(0.5), quantile(0.25), quantile(0.75)};
}

}  // namespace masque::bench
