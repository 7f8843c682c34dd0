#include "kernels/elements.cuh"
#include "kernels/residual_dropout.cuh"
#include "kernels/residual_dropout.h"

namespace masque {
namespace {

constexpr int kThreads = 256;

// Width elements a thread.
template <int Width, class Real>
__global__ void __launch_bounds__(kThreads)
    residual_dropout_kernel(ResidualDropoutForward<Real> args, DropoutPlan plan) {
  const std::int64_t first = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * Width;
  if (first >= args.B * args.E) return;
  auto sum = elements_as<float>(load_elements<Width>(args.branch + first));
  DropoutDraw(plan, first).apply(0, sum.values);
  if (args.residual != nullptr) add_elements(sum, load_elements<Width>(args.residual + first));
  store_elements(args.out + first, elements_as<Real>(sum));
}

template <int Width, class Real>
void launch_elements(On<Cuda, Real> on, const ResidualDropoutForward<Real>& args) {
  launch({"residual_dropout", blocks_for(args.B * args.E, kThreads * Width), kThreads}, on.stream,
         residual_dropout_kernel<Width, Real>, args, dropout_plan(args));
}

}  // namespace

template <class Real>
void residual_dropout_forward(On<Cuda, Real> on, const ResidualDropoutForward<Real>& args) {
  if (args.p == 0 && args.residual == nullptr && args.out == args.branch) return;
  if (packs_fit<Real>(args.E, args.out, args.residual, args.branch)) {
    launch_elements<kPack<Real>>(on, args);
  } else {
    launch_elements<1>(on, args);
  }
}

// The forward of the gradient, without a residual.
template <class Real>
void residual_dropout_backward(On<Cuda, Real> on, const ResidualDropoutBackward<Real>& args) {
  residual_dropout_forward(on, ResidualDropoutForward<Real>{.out = args.dbranch,
                                                            .residual = nullptr,
                                                            .branch = args.dout,
                                                            .state = args.state,
                                                            .stream = args.stream,
                                                            .p = args.p,
                                                            .B = args.B,
                                                            .E = args.E});
}

template void residual_dropout_forward(On<Cuda, float>, const ResidualDropoutForward<float>&);
template void residual_dropout_forward(On<Cuda, bf16>, const ResidualDropoutForward<bf16>&);
template void residual_dropout_backward(On<Cuda, float>, const ResidualDropoutBackward<float>&);
template void residual_dropout_backward(On<Cuda, bf16>, const ResidualDropoutBackward<bf16>&);

}  // namespace masque
