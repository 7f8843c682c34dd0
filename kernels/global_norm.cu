#include <algorithm>
#include <limits>

#include "kernels/global_norm.h"
#include "kernels/gpu.h"
#include "kernels/grid_reduce.cuh"
#include "kernels/pack.cuh"

namespace masque {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kElements = 16;  // a thread at least, so that small arrays are few blocks
constexpr unsigned kMaxBlocks = 2048;   // fixed: the order of the sum is no matter of the device

// The first `packs` packs are read as such, what is left one by one.
template <class Real>
__global__ void __launch_bounds__(kThreads)
    global_norm_kernel(GlobalNorm<Real> args, std::int64_t packs, double* parts,
                       unsigned* counter) {
  const std::int64_t first = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const std::int64_t stride = std::int64_t{gridDim.x} * kThreads;
  double sum = 0;
  for (std::int64_t i = first; i < packs; i += stride) {
    const Pack<float> grad = load_pack(args.grad + i * kPack<float>);
    for (int j = 0; j < kPack<float>; ++j) sum += double{grad[j]} * double{grad[j]};
  }
  for (std::int64_t i = packs * kPack<float> + first; i < args.n; i += stride) {
    sum += double{args.grad[i]} * double{args.grad[i]};
  }
  sum = block_sum<kThreads>(sum);
  if (!sum_over_grid<kThreads>(sum, parts, counter) || threadIdx.x != 0) return;
  const double norm = sqrt(sum);
  args.state->grad_norm = norm;
  args.state->clip_scale = args.clip > 0 && norm > args.clip ? args.clip / norm : 1;
  args.state->finite = norm <= std::numeric_limits<double>::max() ? 1 : 0;
  if (args.skipped != nullptr && args.state->finite == 0) ++*args.skipped;
}

}  // namespace

template <class Real>
void global_norm(On<Cuda, Real> on, const GlobalNorm<Real>& args) {
  const std::int64_t packs = packs_fit<float>(0, args.grad) ? args.n / kPack<float> : 0;
  const unsigned blocks = std::min(blocks_for(args.n, kThreads * kElements), kMaxBlocks);
  auto* parts = static_cast<double*>(gpu_scratch(on.stream, blocks * sizeof(double)));
  launch({"global_norm", blocks, kThreads}, on.stream, global_norm_kernel<Real>, args, packs, parts,
         gpu_counters(on.stream));
}

template void global_norm(On<Cuda, float>, const GlobalNorm<float>&);
template void global_norm(On<Cuda, bf16>, const GlobalNorm<bf16>&);

}  // namespace masque
