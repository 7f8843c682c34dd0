#include "kernels/elements.cuh"
#include "kernels/gather_rows.h"

namespace masque {
namespace {

constexpr int kThreads = 256;

// Width elements a thread.
template <int Width, class Real>
__global__ void __launch_bounds__(kThreads) gather_rows_kernel(GatherRows<Real> args) {
  const std::int64_t first = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * Width;
  if (first >= args.K * args.C) return;
  const std::int64_t k = first / args.C, c = first - k * args.C;
  store_elements(args.out + first, load_elements<Width>(args.x + args.rows[k] * args.C + c));
}

template <int Width, class Real>
void launch_elements(On<Cuda, Real> on, const GatherRows<Real>& args) {
  launch({"gather_rows", blocks_for(args.K * args.C, kThreads * Width), kThreads}, on.stream,
         gather_rows_kernel<Width, Real>, args);
}

}  // namespace

template <class Real>
void gather_rows(On<Cuda, Real> on, const GatherRows<Real>& args) {
  if (packs_fit<Real>(args.C, args.out, args.x)) {
    launch_elements<kPack<Real>>(on, args);
  } else {
    launch_elements<1>(on, args);
  }
}

template void gather_rows(On<Cuda, float>, const GatherRows<float>&);
template void gather_rows(On<Cuda, bf16>, const GatherRows<bf16>&);

}  // namespace masque
