#include <cmath>

#include "kernels/adamw.h"
#include "kernels/elements.cuh"
#include "kernels/gpu.h"

namespace masque {
namespace {

constexpr int kThreads = 256;
constexpr int kRounds = 4;  // of the block's threads: what the rates cost is shared by more weights

// The copy of four f32 weights may be half a pack.
template <int Width, class Real>
__device__ void store_copy(Real* address, const Elements<Real, Width>& copy) {
  if constexpr (sizeof(copy) == sizeof(uint2)) {
    store_as(address, std::bit_cast<uint2>(copy));
  } else {
    store_elements<Width>(address, copy);
  }
}

// What is the same for all weights, as the CPU rounds it.
struct Rates {
  float beta1, one_minus_beta1, beta2, one_minus_beta2;
  float clip_scale, rate, v_scale, eps, shrink, ema_share;
};

template <class Real>
__device__ Rates rates_of(const AdamW<Real>& args) {
  const StepState& state = *args.state;
  const double k = state.step + 1.0;
  return {.beta1 = static_cast<float>(args.beta1),
          .one_minus_beta1 = static_cast<float>(1 - args.beta1),
          .beta2 = static_cast<float>(args.beta2),
          .one_minus_beta2 = static_cast<float>(1 - args.beta2),
          .clip_scale = static_cast<float>(state.clip_scale),
          .rate = static_cast<float>(state.lr / (1 - pow(args.beta1, k))),
          .v_scale = static_cast<float>(1 / (1 - pow(args.beta2, k))),
          .eps = static_cast<float>(args.eps),
          .shrink = static_cast<float>(state.lr * args.decay),
          .ema_share = static_cast<float>(1 - args.ema_decay)};
}

// Weights first … first + Width − 1.
template <int Width, class Real>
__device__ void update(const AdamW<Real>& args, const Rates& rates, std::int64_t first) {
  const auto grad = load_elements<Width>(args.grad + first);
  auto m = load_elements<Width>(args.m + first), v = load_elements<Width>(args.v + first);
  auto master = load_elements<Width>(args.master + first);
  for (int i = 0; i < Width; ++i) {
    const float g = rates.clip_scale * grad[i], w = master[i];
    const float shrink = first + i < args.n_decay ? rates.shrink : 0.0f;
    m[i] = rates.beta1 * m[i] + rates.one_minus_beta1 * g;
    v[i] = rates.beta2 * v[i] + rates.one_minus_beta2 * (g * g);
    master[i] = w - (rates.rate * m[i] / (sqrtf(v[i] * rates.v_scale) + rates.eps) + shrink * w);
  }
  store_elements<Width>(args.m + first, m);
  store_elements<Width>(args.v + first, v);
  store_elements<Width>(args.master + first, master);
  if (args.ema != nullptr) {
    auto ema = load_elements<Width>(args.ema + first);
    for (int i = 0; i < Width; ++i) ema[i] += rates.ema_share * (master[i] - ema[i]);
    store_elements<Width>(args.ema + first, ema);
  }
  if (args.compute != nullptr) {
    Elements<Real, Width> copy;
    for (int i = 0; i < Width; ++i) copy[i] = static_cast<Real>(master[i]);
    store_copy<Width>(args.compute + first, copy);
  }
}

// The first `packs` packs are updated as such, what is left one by one.
template <class Real>
__global__ void __launch_bounds__(kThreads) adamw_kernel(AdamW<Real> args, std::int64_t packs) {
  GPU_SHARED(Rates, rates, [1]);
  if (args.state->finite == 0) return;
  if (threadIdx.x == 0) rates[0] = rates_of(args);
  __syncthreads();
  for (int round = 0; round < kRounds; ++round) {
    const std::int64_t unit = (std::int64_t{blockIdx.x} * kRounds + round) * kThreads + threadIdx.x;
    const std::int64_t single = unit - packs + packs * kPack<float>;
    if (unit < packs) {
      update<kPack<float>>(args, rates[0], unit * kPack<float>);
    } else if (single < args.n) {
      update<1>(args, rates[0], single);
    }
  }
}

}  // namespace

template <class Real>
void adamw(On<Cuda, Real> on, const AdamW<Real>& args) {
  const bool aligned =
      packs_fit<float>(0, args.master, args.compute, args.m, args.v, args.ema, args.grad);
  const std::int64_t packs = aligned ? args.n / kPack<float> : 0;
  const std::int64_t units = packs + (args.n - packs * kPack<float>);
  launch({"adamw", blocks_for(units, kThreads * kRounds), kThreads}, on.stream, adamw_kernel<Real>,
         args, packs);
}

template void adamw(On<Cuda, float>, const AdamW<float>&);
template void adamw(On<Cuda, bf16>, const AdamW<bf16>&);

}  // namespace masque
