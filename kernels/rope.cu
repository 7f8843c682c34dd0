#include <cmath>

#include "kernels/elements.cuh"
#include "kernels/rope.h"

namespace masque {
namespace {

constexpr int kThreads = 256;
constexpr double kPerTurn = 0.15915494309189535;  // 1/(2π)

struct Frequencies {
  double log2_ratio;  // of a pair's frequency to that of the pair before it
  double ratio;
};

template <int Width>
struct Rotations {
  float cosine[Width], sine[Width];
};

// Of pairs first_pair, … at a position. In whole turns, the double is reduced exactly, so that
// single precision is enough for the rest.
template <int Width>
__device__ Rotations<Width> rotations_at(std::int64_t position, std::int64_t first_pair,
                                         const Frequencies& frequencies) {
  Rotations<Width> rotations;
  double turns = static_cast<double>(position) * kPerTurn *
                 std::exp2(static_cast<double>(first_pair) * frequencies.log2_ratio);
  for (int i = 0; i < Width; ++i) {
    const double half_turns = 2 * (turns - std::rint(turns));
    sincospif(static_cast<float>(half_turns), &rotations.sine[i], &rotations.cosine[i]);
    turns *= frequencies.ratio;
  }
  return rotations;
}

// Width pairs of every head of q, or of k, at a position. direction: 1 forward, −1 the inverse
// rotation.
template <int Width, class Real>
__global__ void __launch_bounds__(kThreads)
    rope_kernel(Rope<Real> args, Frequencies frequencies, float direction) {
  const std::int64_t half = args.HS / 2, shares = half / Width;
  const std::int64_t index = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const std::int64_t n = index / shares / 2, key = index / shares % 2;
  if (n >= args.B * args.T) return;
  const std::int64_t pair = index % shares * Width;
  const auto turn = rotations_at<Width>(args.first_position + n % args.T, pair, frequencies);
  Real* left = args.qkv + (n * 3 + key) * args.NH * args.HS + pair;
  for (std::int64_t head = 0; head < args.NH; ++head, left += args.HS) {
    auto low = load_elements<Width>(left), high = load_elements<Width>(left + half);
    for (int i = 0; i < Width; ++i) {
      const float a = low[i], b = high[i], sine = direction * turn.sine[i];
      low[i] = static_cast<Real>(a * turn.cosine[i] - b * sine);
      high[i] = static_cast<Real>(b * turn.cosine[i] + a * sine);
    }
    store_elements(left, low);
    store_elements(left + half, high);
  }
}

template <int Width, class Real>
void launch_pairs(On<Cuda, Real> on, const Rope<Real>& args, float direction) {
  const std::int64_t half = args.HS / 2;
  const double log2_ratio = -std::log2(args.theta) / static_cast<double>(half);
  launch({"rope", blocks_for(args.B * args.T * 2 * (half / Width), kThreads), kThreads}, on.stream,
         rope_kernel<Width, Real>, args, Frequencies{log2_ratio, std::exp2(log2_ratio)}, direction);
}

template <class Real>
void rotate(On<Cuda, Real> on, const Rope<Real>& args, float direction) {
  if (packs_fit<Real>(args.HS / 2, args.qkv)) {
    launch_pairs<kPack<Real>>(on, args, direction);
  } else {
    launch_pairs<1>(on, args, direction);
  }
}

}  // namespace

template <class Real>
void rope_forward(On<Cuda, Real> on, const Rope<Real>& args) {
  rotate(on, args, 1);
}

template <class Real>
void rope_backward(On<Cuda, Real> on, const Rope<Real>& args) {
  rotate(on, args, -1);
}

template void rope_forward(On<Cuda, float>, const Rope<float>&);
template void rope_forward(On<Cuda, bf16>, const Rope<bf16>&);
template void rope_backward(On<Cuda, float>, const Rope<float>&);
template void rope_backward(On<Cuda, bf16>, const Rope<bf16>&);

}  // namespace masque
