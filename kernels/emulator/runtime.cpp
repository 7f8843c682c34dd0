#include "kernels/emulator/runtime.h"

#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kernels/backend.h"
#include "kernels/emulator/host_waits.h"
#include "kernels/emulator/memory_blocks.h"
#include "kernels/emulator/sanitizer.h"

using masque::Error;

namespace {

constexpr int kMultiprocessors = 4;

using Clock = std::chrono::steady_clock;

struct Task {
  const char* name;
  std::function<void()> run;
  CUevent_st* awaited = nullptr;  // runs once this event has been recorded so many times
  std::uint64_t version = 0;
};

}  // namespace

struct CUgraph_st {
  std::vector<Task> tasks;
};

struct CUgraphExec_st {
  std::vector<Task> tasks;
};

struct CUstream_st {
  std::deque<Task> tasks;
  std::unique_ptr<CUgraph_st> capture;  // null: not capturing
};

struct CUevent_st {
  std::uint64_t recorded = 0, passed = 0;  // by calls; by the stream that got there
  Clock::time_point time;
  CUgraph_st* captured_in = nullptr;
};

namespace masque::emulator {
namespace {

class Runtime {
 public:
  MemoryBlocks device, pinned;
  std::vector<std::unique_ptr<CUstream_st>> streams;
  std::uint64_t host_waits = 0;

  void enqueue(cudaStream_t stream, Task task) {
    if (stream == nullptr) {
      throw Error(
          fmt::format("{}: on the null stream; masque's work has a stream of its own", task.name));
    }
    if (stream->capture != nullptr) {
      stream->capture->tasks.push_back(std::move(task));
      return;
    }
    stream->tasks.push_back(std::move(task));
    if (!settings().deferred) run_all();
  }

  // Runs what must run for `done` to hold, and by chance some of the rest.
  template <class Done>
  void run_until(Done done) {
    while (!done()) {
      std::vector<CUstream_st*> ready;
      for (const auto& stream : streams) {
        if (stream->tasks.empty()) continue;
        const Task& task = stream->tasks.front();
        if (task.awaited == nullptr || task.awaited->passed >= task.version) {
          ready.push_back(stream.get());
        }
      }
      if (ready.empty()) throw Error("every stream waits for an event of another");
      CUstream_st& stream = *ready[random_() % ready.size()];
      const Task task = std::move(stream.tasks.front());
      stream.tasks.pop_front();
      if (task.run) run(task);
    }
  }
  void run_all() {
    run_until([&] {
      for (const auto& stream : streams) {
        if (!stream->tasks.empty()) return false;
      }
      return true;
    });
  }
  void drain(const CUstream_st* stream) {
    run_until([&] { return stream->tasks.empty(); });
  }

  void refuse_while_capturing(const char* call) const {
    for (const auto& stream : streams) {
      if (stream->capture != nullptr) throw Error(fmt::format("{}: while a stream captures", call));
    }
  }

 private:
  // A failed kernel takes the queued work with it, as CUDA's sticky errors do.
  void run(const Task& task) {
    device.show();
    try {
      task.run();
    } catch (...) {
      device.hide();
      for (const auto& stream : streams) stream->tasks.clear();
      throw;
    }
    device.hide();
  }

  std::mt19937_64 random_{settings().seed};
};

Runtime& runtime() {
  static Runtime* runtime = new Runtime;  // outlives every static that holds device memory
  return *runtime;
}

CUstream_st& checked(cudaStream_t stream, const char* call) {
  if (stream == nullptr) {
    throw Error(fmt::format("{}: of the null stream; masque's work has a stream of its own", call));
  }
  return *stream;
}

}  // namespace

void launch(const Launch& launch, cudaStream_t stream, std::function<void()> thread) {
  check_launch(launch);
  enqueue(launch.name, stream, [launch, thread = std::move(thread)] { run_grid(launch, thread); });
}

void enqueue(const char* name, cudaStream_t stream, std::function<void()> work) {
  runtime().enqueue(stream, {name, std::move(work)});
}

std::uint64_t host_waits() {
  return runtime().host_waits;
}

}  // namespace masque::emulator

using masque::emulator::checked;
using masque::emulator::runtime;
using masque::emulator::settings;

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  if (device != 0) throw Error(fmt::format("cudaSetDevice({}): there is device 0 only", device));
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int /*device*/) {
  std::strcpy(properties->name, "emulated GPU");
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int /*device*/) {
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = kMultiprocessors;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(settings().shared_limit);
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = 8;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = 0;
      break;
  }
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  runtime().refuse_while_capturing("cudaDeviceSynchronize");
  ++runtime().host_waits;
  runtime().run_all();
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  const std::size_t taken = runtime().device.bytes();
  *total = settings().device_memory;
  *free = *total > taken ? *total - taken : 0;
  return cudaSuccess;
}

const char* cudaGetErrorString(cudaError_t code) {
  if (code == cudaErrorMemoryAllocation) return "out of memory";
  return code == cudaSuccess ? "no error" : "not ready";
}

cudaError_t cudaGetLastError() {
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  runtime().refuse_while_capturing("cudaMalloc");
  if (runtime().device.bytes() + bytes > settings().device_memory) return cudaErrorMemoryAllocation;
  *memory = runtime().device.add(bytes);
  masque::emulator::poison(*memory, bytes);
  return cudaSuccess;
}

cudaError_t cudaFree(void* memory) {
  if (memory == nullptr) return cudaSuccess;
  runtime().refuse_while_capturing("cudaFree");
  ++runtime().host_waits;
  runtime().run_all();
  runtime().device.remove(memory, "cudaFree");
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
  runtime().refuse_while_capturing("cudaMallocHost");
  *memory = runtime().pinned.add(bytes);
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* memory) {
  if (memory == nullptr) return cudaSuccess;
  runtime().refuse_while_capturing("cudaFreeHost");
  ++runtime().host_waits;
  runtime().run_all();
  runtime().pinned.remove(memory, "cudaFreeHost");
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  const CUstream_st& target = checked(stream, "cudaMemcpyAsync");
  bool from_host = kind == cudaMemcpyHostToDevice, to_host = kind == cudaMemcpyDeviceToHost;
  if (kind == cudaMemcpyDefault) {
    from_host = !runtime().device.holds(from, bytes);
    to_host = !runtime().device.holds(to, bytes);
  }
  if (from_host && to_host) {
    throw Error(fmt::format("cudaMemcpyAsync: neither {} nor {} is device memory", to, from));
  }
  if (!from_host && !runtime().device.holds(from, bytes)) {
    throw Error(
        fmt::format("cudaMemcpyAsync: {} bytes from {} are not device memory", bytes, from));
  }
  if (!to_host && !runtime().device.holds(to, bytes)) {
    throw Error(fmt::format("cudaMemcpyAsync: {} bytes to {} are not device memory", bytes, to));
  }
  const bool pageable = (from_host && !runtime().pinned.holds(from, bytes)) ||
                        (to_host && !runtime().pinned.holds(to, bytes));
  if (pageable && target.capture != nullptr) {
    throw Error("cudaMemcpyAsync: a captured copy needs pinned host memory");
  }
  if (from_host && pageable) {
    const auto* first = static_cast<const std::byte*>(from);
    masque::emulator::enqueue("cudaMemcpyAsync", stream,
                              [to, staged = std::vector<std::byte>(first, first + bytes)] {
                                std::memcpy(to, staged.data(), staged.size());
                              });
    return cudaSuccess;
  }
  masque::emulator::enqueue("cudaMemcpyAsync", stream,
                            [to, from, bytes] { std::memcpy(to, from, bytes); });
  if (pageable) {
    ++runtime().host_waits;
    runtime().drain(stream);
  }
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t stream) {
  if (!runtime().device.holds(memory, bytes)) {
    throw Error(
        fmt::format("cudaMemsetAsync: {} bytes at {} are not device memory", bytes, memory));
  }
  masque::emulator::enqueue("cudaMemsetAsync", stream,
                            [memory, value, bytes] { std::memset(memory, value, bytes); });
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned /*flags*/) {
  *stream = runtime().streams.emplace_back(std::make_unique<CUstream_st>()).get();
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  runtime().refuse_while_capturing("cudaStreamDestroy");
  runtime().drain(&checked(stream, "cudaStreamDestroy"));
  std::erase_if(runtime().streams, [&](const auto& other) { return other.get() == stream; });
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  runtime().refuse_while_capturing("cudaStreamSynchronize");
  ++runtime().host_waits;
  runtime().drain(&checked(stream, "cudaStreamSynchronize"));
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  runtime().refuse_while_capturing("cudaStreamQuery");
  return checked(stream, "cudaStreamQuery").tasks.empty() ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned /*flags*/) {
  const CUstream_st& waiting = checked(stream, "cudaStreamWaitEvent");
  if (event->captured_in != waiting.capture.get()) {
    throw Error("cudaStreamWaitEvent: the emulator captures one stream, with events of its own");
  }
  if (event->captured_in != nullptr) return cudaSuccess;  // of the same stream: in order anyway
  runtime().enqueue(stream, {"cudaStreamWaitEvent", nullptr, event, event->recorded});
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned /*flags*/) {
  *event = std::make_unique<CUevent_st>().release();
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, 0);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  runtime().run_all();  // no task may keep it
  std::unique_ptr<CUevent_st> owned(event);
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const CUstream_st& recording = checked(stream, "cudaEventRecord");
  event->captured_in = recording.capture.get();
  if (event->captured_in != nullptr) return cudaSuccess;
  const std::uint64_t version = ++event->recorded;
  masque::emulator::enqueue("cudaEventRecord", stream, [event, version] {
    event->passed = version;
    event->time = Clock::now();
  });
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  runtime().refuse_while_capturing("cudaEventSynchronize");
  ++runtime().host_waits;
  const std::uint64_t version = event->recorded;
  runtime().run_until([&] { return event->passed >= version; });
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  runtime().refuse_while_capturing("cudaEventQuery");
  return event->passed >= event->recorded ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  if (begin->passed == 0 || end->passed < end->recorded) {
    throw Error("cudaEventElapsedTime: both events must have been recorded and waited for");
  }
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - begin->time).count();
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode /*mode*/) {
  runtime().refuse_while_capturing("cudaStreamBeginCapture");
  checked(stream, "cudaStreamBeginCapture").capture = std::make_unique<CUgraph_st>();
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  CUstream_st& captured = checked(stream, "cudaStreamEndCapture");
  if (captured.capture == nullptr) throw Error("cudaStreamEndCapture: the stream does not capture");
  *graph = captured.capture.release();
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const bool active = checked(stream, "cudaStreamIsCapturing").capture != nullptr;
  *status = active ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* /*nodes*/, std::size_t* count) {
  *count = graph->tasks.size();
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph,
                                 unsigned long long /*flags*/) {
  auto made = std::make_unique<CUgraphExec_st>();
  made->tasks = graph->tasks;
  *exec = made.release();
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  checked(stream, "cudaGraphLaunch");
  for (const Task& task : exec->tasks) runtime().enqueue(stream, task);
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  std::unique_ptr<CUgraph_st> owned(graph);
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  runtime().run_all();
  std::unique_ptr<CUgraphExec_st> owned(exec);
  return cudaSuccess;
}
