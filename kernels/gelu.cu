#include "kernels/gelu.h"
#include "kernels/gpu.h"
#include "kernels/pack.cuh"

namespace masque {
namespace {

constexpr int kThreads = 256;
constexpr float kScale = 1.5957691216057308f;  // 2·√(2/π)
constexpr float kCubic = 0.044715f;

// (1 + tanh(u))/2 = 1/(1 + e^−2u), which does not cancel for negative x.
__device__ float sigmoid_of(float x) {
  return 1.0f / (1.0f + expf(-kScale * x * (1.0f + kCubic * x * x)));
}

__device__ float slope_of(float x) {
  const float sigmoid = sigmoid_of(x);
  return sigmoid * (1.0f + x * (1.0f - sigmoid) * kScale * (1.0f + 3.0f * kCubic * x * x));
}

// A pack a thread; the last thread takes what is left over, one by one.
template <class Real>
__global__ void gelu_forward_kernel(GeluForward<Real> args) {
  const std::int64_t first = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * kPack<Real>;
  if (first + kPack<Real> <= args.n) {
    Pack<Real> pack = load_pack(args.x + first);
    for (int i = 0; i < kPack<Real>; ++i)
      pack[i] = static_cast<Real>(pack[i] * sigmoid_of(pack[i]));
    store_pack(args.out + first, pack);
    return;
  }
  for (std::int64_t i = first; i < args.n; ++i) {
    args.out[i] = static_cast<Real>(args.x[i] * sigmoid_of(args.x[i]));
  }
}

template <class Real>
__global__ void gelu_backward_kernel(GeluBackward<Real> args) {
  const std::int64_t first = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * kPack<Real>;
  if (first + kPack<Real> <= args.n) {
    const Pack<Real> x = load_pack(args.x + first), dout = load_pack(args.dout + first);
    Pack<Real> dx;
    for (int i = 0; i < kPack<Real>; ++i) dx[i] = static_cast<Real>(dout[i] * slope_of(x[i]));
    store_pack(args.dx + first, dx);
    return;
  }
  for (std::int64_t i = first; i < args.n; ++i) {
    args.dx[i] = static_cast<Real>(args.dout[i] * slope_of(args.x[i]));
  }
}

}  // namespace

template <class Real>
void gelu_forward(On<Cuda, Real> on, const GeluForward<Real>& args) {
  launch({"gelu_forward", blocks_for(args.n, kThreads * kPack<Real>), kThreads}, on.stream,
         gelu_forward_kernel<Real>, args);
}

template <class Real>
void gelu_backward(On<Cuda, Real> on, const GeluBackward<Real>& args) {
  launch({"gelu_backward", blocks_for(args.n, kThreads * kPack<Real>), kThreads}, on.stream,
         gelu_backward_kernel<Real>, args);
}

template void gelu_forward(On<Cuda, float>, const GeluForward<float>&);
template void gelu_forward(On<Cuda, bf16>, const GeluForward<bf16>&);
template void gelu_backward(On<Cuda, float>, const GeluBackward<float>&);
template void gelu_backward(On<Cuda, bf16>, const GeluBackward<bf16>&);

}  // namespace masque
