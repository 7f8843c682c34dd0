#include "kernels/gpu.h"
#include "kernels/next_token.h"
#include "kernels/philox.h"

namespace masque {
namespace {

constexpr int kThreads = 256;

// A position a thread: rows of T + 1 tokens have no alignment to use.
template <class Real>
__global__ void __launch_bounds__(kThreads) next_token_kernel(NextToken<Real> args) {
  const std::int64_t n = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (n >= args.B * args.T) return;
  const std::int64_t b = n / args.T, t = n - b * args.T;
  if (args.first_token >= 0) {
    args.inputs[n] = t == 0 ? args.first_token : args.tokens[n - 1];
    args.targets[n] = args.tokens[n];
  } else {
    args.inputs[n] = args.tokens[n + b];
    args.targets[n] = args.tokens[n + b + 1];
  }
  const StepState& state = *args.state;
  if (args.input_masking > 0 && args.inputs[n] != args.first_token &&
      philox_word(state.seed, stream_of(Purpose::mask), state.step,
                  state.first_row + static_cast<std::uint32_t>(b),
                  static_cast<std::uint64_t>(t)) < threshold(args.input_masking)) {
    args.inputs[n] = args.mask_token;
  }
  const bool real = args.lengths == nullptr || t < args.lengths[b];
  args.weights[n] = real ? static_cast<float>(state.normaliser) : 0.0f;
}

}  // namespace

template <class Real>
void next_token(On<Cuda, Real> on, const NextToken<Real>& args) {
  launch({"next_token", blocks_for(args.B * args.T, kThreads), kThreads}, on.stream,
         next_token_kernel<Real>, args);
}

template void next_token(On<Cuda, float>, const NextToken<float>&);
template void next_token(On<Cuda, bf16>, const NextToken<bf16>&);

}  // namespace masque
