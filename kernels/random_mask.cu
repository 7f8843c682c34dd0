#include <cmath>

#include "kernels/gpu.h"
#include "kernels/philox.h"
#include "kernels/random_mask.h"

namespace masque {
namespace {

constexpr int kThreads = 128;
constexpr int kDraws = 4;  // positions of one counter

struct RowDraw {
  std::uint32_t row;  // within the effective batch
  double ratio;       // t
};

// The expressions of random_mask.cpp, for its bits.
template <class Real>
__device__ RowDraw draw_row(const RandomMask<Real>& args, std::int64_t b) {
  const StepState& state = *args.state;
  const std::uint32_t row = state.first_row + static_cast<std::uint32_t>(b);
  const std::uint32_t draw_row = args.sampling == TSampling::iid ? row : 0;
  double u =
      uniform(philox_word(state.seed, stream_of(Purpose::mask_ratio), state.step, draw_row, 0));
  if (args.sampling == TSampling::stratified) {
    u = (static_cast<double>(row) + u) / static_cast<double>(args.total_rows);
  }
  return {row, std::fma(1 - args.epsilon, u, args.epsilon)};
}

// A counter's positions of a row a thread.
template <class Real>
__global__ void __launch_bounds__(kThreads) random_mask_kernel(RandomMask<Real> args) {
  const std::int64_t counters = (args.T + kDraws - 1) / kDraws;
  const std::int64_t index = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= args.B * counters) return;
  const std::int64_t b = index / counters, counter = index - b * counters;
  const StepState& state = *args.state;
  const RowDraw draw = draw_row(args, b);
  const std::uint64_t mask_below = threshold(draw.ratio);
  const auto weight = static_cast<float>(
      args.weighting == Weighting::inverse_t ? state.normaliser / draw.ratio : state.normaliser);
  const std::int64_t length = args.lengths == nullptr ? args.T : args.lengths[b];
  const auto words = philox(state.seed, {static_cast<std::uint32_t>(counter), draw.row, state.step,
                                         stream_of(Purpose::mask)});
  GPU_UNROLL
  for (int i = 0; i < kDraws; ++i) {
    const std::int64_t t = counter * kDraws + i, n = b * args.T + t;
    if (t >= args.T) break;
    const std::int32_t token = args.tokens[n];
    const bool real = t < length && token != args.pad_token && token != args.start_token;
    const bool masked = real && words[i] < mask_below;
    args.inputs[n] = masked ? args.mask_token : token;
    args.weights[n] = masked ? weight : 0.0f;
  }
}

}  // namespace

template <class Real>
void random_mask(On<Cuda, Real> on, const RandomMask<Real>& args) {
  const std::int64_t counters = (args.T + kDraws - 1) / kDraws;
  launch({"random_mask", blocks_for(args.B * counters, kThreads), kThreads}, on.stream,
         random_mask_kernel<Real>, args);
}

template void random_mask(On<Cuda, float>, const RandomMask<float>&);
template void random_mask(On<Cuda, bf16>, const RandomMask<bf16>&);

}  // namespace masque
