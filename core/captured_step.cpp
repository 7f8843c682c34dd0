#include "core/captured_step.h"

#ifdef MASQUE_CUDA
#include <memory>
#include <type_traits>

#include "kernels/gpu.h"

namespace masque {
namespace {

cudaStream_t stream_of(const Device& device) {
  return std::visit(
      [](auto on) -> cudaStream_t {
        if constexpr (std::is_same_v<typename decltype(on)::device, Cuda>) return on.stream;
        return nullptr;
      },
      device);
}

struct DestroyGraph {
  void operator()(cudaGraph_t graph) const { cudaGraphDestroy(graph); }
};
using Graph = std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, DestroyGraph>;

}  // namespace

CapturedStep::~CapturedStep() {
  if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
}

void CapturedStep::run(const std::function<void()>& work) {
  if (!enabled_ || !on_gpu(device_) || !ran_) {
    work();
    ran_ = true;
    return;
  }
  if (graph_ == nullptr) record(work);
  GPU_CHECK(cudaGraphLaunch(graph_, stream_of(device_)));
}

void CapturedStep::record(const std::function<void()>& work) {
  const cudaStream_t stream = stream_of(device_);
  cudaGraph_t graph = nullptr;
  GPU_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  try {
    work();
  } catch (...) {
    cudaStreamEndCapture(stream, &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
    throw;
  }
  GPU_CHECK(cudaStreamEndCapture(stream, &graph));
  const Graph owned(graph);  // until the end of the scope
  GPU_CHECK(cudaGraphGetNodes(owned.get(), nullptr, &launches_));
  GPU_CHECK(cudaGraphInstantiate(&graph_, owned.get(), 0));
}

}  // namespace masque

#else

namespace masque {

CapturedStep::~CapturedStep() = default;

void CapturedStep::run(const std::function<void()>& work) {
  work();
}

}  // namespace masque

#endif
