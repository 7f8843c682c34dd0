#include "kernels/elements.cuh"
#include "kernels/swiglu.h"

namespace masque {
namespace {

constexpr int kThreads = 256;

__device__ float sigmoid_of(float x) {
  return 1.0f / (1.0f + expf(-x));
}

// Width elements of a row of out a thread. Element (n, i) of out is n·F + i, its gate n·2F + i.
template <int Width, class Real>
__global__ void __launch_bounds__(kThreads) swiglu_forward_kernel(SwigluForward<Real> args) {
  const std::int64_t F = args.F;
  const std::int64_t first = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * Width;
  if (first >= args.N * F) return;
  const Real* gates = args.gate_up + first + first / F * F;
  const auto gate = load_elements<Width>(gates), up = load_elements<Width>(gates + F);
  Elements<Real, Width> out;
  for (int i = 0; i < Width; ++i) {
    out[i] = static_cast<Real>(gate[i] * sigmoid_of(gate[i]) * up[i]);
  }
  store_elements(args.out + first, out);
}

template <int Width, class Real>
__global__ void __launch_bounds__(kThreads) swiglu_backward_kernel(SwigluBackward<Real> args) {
  const std::int64_t F = args.F;
  const std::int64_t first = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * Width;
  if (first >= args.N * F) return;
  const std::int64_t first_gate = first + first / F * F;
  const auto gate = load_elements<Width>(args.gate_up + first_gate);
  const auto up = load_elements<Width>(args.gate_up + first_gate + F);
  const auto dout = load_elements<Width>(args.dout + first);
  Elements<Real, Width> dgate, dup;
  for (int i = 0; i < Width; ++i) {
    const float sigmoid = sigmoid_of(gate[i]), scaled = dout[i] * sigmoid;
    dgate[i] = static_cast<Real>(scaled * up[i] * (1.0f + gate[i] * (1.0f - sigmoid)));
    dup[i] = static_cast<Real>(scaled * gate[i]);
  }
  store_elements(args.dgate_up + first_gate, dgate);
  store_elements(args.dgate_up + first_gate + F, dup);
}

template <int Width, class Real>
void launch_elements(On<Cuda, Real> on, const SwigluForward<Real>& args) {
  launch({"swiglu_forward", blocks_for(args.N * args.F, kThreads * Width), kThreads}, on.stream,
         swiglu_forward_kernel<Width, Real>, args);
}

template <int Width, class Real>
void launch_elements(On<Cuda, Real> on, const SwigluBackward<Real>& args) {
  launch({"swiglu_backward", blocks_for(args.N * args.F, kThreads * Width), kThreads}, on.stream,
         swiglu_backward_kernel<Width, Real>, args);
}

}  // namespace

template <class Real>
void swiglu_forward(On<Cuda, Real> on, const SwigluForward<Real>& args) {
  if (packs_fit<Real>(args.F, args.out, args.gate_up)) {
    launch_elements<kPack<Real>>(on, args);
  } else {
    launch_elements<1>(on, args);
  }
}

template <class Real>
void swiglu_backward(On<Cuda, Real> on, const SwigluBackward<Real>& args) {
  if (packs_fit<Real>(args.F, args.dgate_up, args.dout, args.gate_up)) {
    launch_elements<kPack<Real>>(on, args);
  } else {
    launch_elements<1>(on, args);
  }
}

template void swiglu_forward(On<Cuda, float>, const SwigluForward<float>&);
template void swiglu_forward(On<Cuda, bf16>, const SwigluForward<bf16>&);
template void swiglu_backward(On<Cuda, float>, const SwigluBackward<float>&);
template void swiglu_backward(On<Cuda, bf16>, const SwigluBackward<bf16>&);

}  // namespace masque
