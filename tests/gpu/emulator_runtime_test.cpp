// The emulated runtime: streams that run late and in any legal order, events, graphs, and what it
// refuses while a stream captures.
#include <vector>

#include "tests/support/device_array.h"
#include "tests/support/gpu.h"
// After the engine's own headers.
#include "tests/support/catch.h"

namespace masque::test {
namespace {

using Catch::Contains;

__global__ void add(float* to, const float* from, float value) {
  to[threadIdx.x] = from[threadIdx.x] + value;
}

void launch_add(cudaStream_t stream, float* to, const float* from, float value) {
  launch({"add", 1, 4}, stream, add, to, from, value);
}

struct Stream {
  Stream() { GPU_CHECK(cudaStreamCreateWithFlags(&get, cudaStreamNonBlocking)); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { cudaStreamDestroy(get); }
  cudaStream_t get = nullptr;
};

struct Event {
  Event() { GPU_CHECK(cudaEventCreateWithFlags(&get, cudaEventDisableTiming)); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { cudaEventDestroy(get); }
  cudaEvent_t get = nullptr;
};

struct Pinned {
  Pinned() {
    void* memory = nullptr;
    GPU_CHECK(cudaMallocHost(&memory, 4 * sizeof(float)));
    values = static_cast<float*>(memory);
  }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  ~Pinned() { cudaFreeHost(values); }
  float* values = nullptr;
};

}  // namespace

TEST_CASE("emulated runtime: only an event orders two streams", "[emulated]") {
  const DeviceArray<float> x(std::vector<float>(4, 0.0f)), y(4);
  const Stream first, second;
  const Event event;
  int unordered_wrong = 0, ordered_wrong = 0;
  const auto round = [&](bool ordered) {
    launch_add(first.get, x.data(), x.data(), 1);
    GPU_CHECK(cudaEventRecord(event.get, first.get));
    if (ordered) GPU_CHECK(cudaStreamWaitEvent(second.get, event.get));
    launch_add(second.get, y.data(), x.data(), 0);
    GPU_CHECK(cudaDeviceSynchronize());
    return y.read()[0] != x.read()[0];
  };
  const Deferred deferred;
  for (int i = 0; i < 20; ++i) unordered_wrong += round(false) ? 1 : 0;
  for (int i = 0; i < 20; ++i) ordered_wrong += round(true) ? 1 : 0;
  CHECK(unordered_wrong > 0);
  CHECK(ordered_wrong == 0);
}

TEST_CASE("emulated runtime: a pinned buffer is read when the copy runs", "[emulated]") {
  const DeviceArray<float> x(4);
  const Pinned pinned;
  const Stream stream;
  std::vector<float> pageable(4, 1.0f);
  const Deferred deferred;
  const auto copy = [&](const float* from) {
    GPU_CHECK(
        cudaMemcpyAsync(x.data(), from, 4 * sizeof(float), cudaMemcpyHostToDevice, stream.get));
  };
  pinned.values[0] = 1;
  copy(pinned.values);
  pinned.values[0] = 2;  // reused before the copy has run
  GPU_CHECK(cudaStreamSynchronize(stream.get));
  CHECK(x.read()[0] == 2);
  copy(pageable.data());
  pageable[0] = 2;
  GPU_CHECK(cudaStreamSynchronize(stream.get));
  CHECK(x.read()[0] == 1);
}

TEST_CASE("emulated runtime: a graph keeps the arguments of its capture and reads memory anew",
          "[emulated]") {
  const DeviceArray<float> x(std::vector<float>(4, 0.0f));
  const Stream stream;
  float step = 1;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  GPU_CHECK(cudaStreamBeginCapture(stream.get, cudaStreamCaptureModeThreadLocal));
  launch_add(stream.get, x.data(), x.data(), step);
  launch_add(stream.get, x.data(), x.data(), step);
  GPU_CHECK(cudaStreamEndCapture(stream.get, &graph));
  CHECK(x.read()[0] == 0);  // nothing ran
  std::size_t nodes = 0;
  GPU_CHECK(cudaGraphGetNodes(graph, nullptr, &nodes));
  CHECK(nodes == 2);
  GPU_CHECK(cudaGraphInstantiate(&exec, graph));
  GPU_CHECK(cudaGraphDestroy(graph));
  step = 10;
  for (int replay = 1; replay <= 3; ++replay) {
    GPU_CHECK(cudaGraphLaunch(exec, stream.get));
    GPU_CHECK(cudaStreamSynchronize(stream.get));
    CHECK(x.read()[0] == static_cast<float>(2 * replay));
  }
  GPU_CHECK(cudaGraphExecDestroy(exec));
}

TEST_CASE("emulated runtime: what a capture refuses", "[emulated]") {
  const DeviceArray<float> x(std::vector<float>(4, 0.0f));
  const Stream stream;
  std::vector<float> pageable(4);
  void* memory = nullptr;
  GPU_CHECK(cudaStreamBeginCapture(stream.get, cudaStreamCaptureModeThreadLocal));
  CHECK_THROWS_WITH(cudaMalloc(&memory, 4), Contains("cudaMalloc: while a stream captures"));
  CHECK_THROWS_WITH(cudaFree(x.data()), Contains("cudaFree: while"));
  CHECK_THROWS_WITH(cudaStreamSynchronize(test_stream()), Contains("cudaStreamSynchronize: while"));
  CHECK_THROWS_WITH(cudaDeviceSynchronize(), Contains("cudaDeviceSynchronize: while"));
  CHECK_THROWS_WITH(cudaStreamQuery(stream.get), Contains("cudaStreamQuery: while"));
  CHECK_THROWS_WITH(
      cudaMemcpyAsync(x.data(), pageable.data(), 16, cudaMemcpyHostToDevice, stream.get),
      Contains("needs pinned host memory"));
  CHECK_THROWS_WITH(gpu_scratch(stream.get, 16), Contains("a captured step cannot grow"));
  cudaGraph_t graph = nullptr;
  GPU_CHECK(cudaStreamEndCapture(stream.get, &graph));
  GPU_CHECK(cudaGraphDestroy(graph));
}

TEST_CASE("emulated runtime: copies outside device memory", "[emulated]") {
  const DeviceArray<float> x(4);
  std::vector<float> host(8);
  CHECK_THROWS_WITH(
      cudaMemcpyAsync(x.data(), host.data(), 20, cudaMemcpyHostToDevice, test_stream()),
      Contains("are not device memory"));
  CHECK_THROWS_WITH(
      cudaMemcpyAsync(host.data(), x.data() + 2, 12, cudaMemcpyDeviceToHost, test_stream()),
      Contains("are not device memory"));
  CHECK_THROWS_WITH(cudaMemsetAsync(host.data(), 0, 4, test_stream()),
                    Contains("are not device memory"));
}

}  // namespace masque::test
