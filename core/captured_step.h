// Work of a GPU that is launched step after step: run once, then recorded as a CUDA graph, then
// replayed, which spares the host its part of every launch. On the CPU it simply runs.
#pragma once

#include <cstddef>
#include <functional>

#include "core/device.h"

struct CUgraphExec_st;  // CUDA's: a cudaGraphExec_t points to one

namespace masque {

class CapturedStep {
 public:
  explicit CapturedStep(Device device) : device_(device) {}
  CapturedStep(const CapturedStep&) = delete;
  CapturedStep& operator=(const CapturedStep&) = delete;
  ~CapturedStep();

  // The first call runs `work` as it is, so that memory and algorithms are found; the second
  // records it; from then on its launches are repeated, with the addresses and the arguments of the
  // recording. Whatever varies from step to step must therefore lie in device memory. In a
  // recording work may neither allocate nor wait.
  void run(const std::function<void()>& work);

  // Off: every call runs `work` as it is, for tests and for debugging.
  void set_enabled(bool enabled) { enabled_ = enabled; }
  bool recorded() const { return graph_ != nullptr; }
  std::size_t launches() const { return launches_; }  // of the recording; 0 before it

 private:
  void record(const std::function<void()>& work);

  Device device_;
  bool enabled_ = true, ran_ = false;
  CUgraphExec_st* graph_ = nullptr;
  std::size_t launches_ = 0;
};

}  // namespace masque
