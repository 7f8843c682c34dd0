#include "kernels/rope.h"

#include <cmath>

#include "kernels/level.h"
#include "kernels/row_chunks.h"

namespace masque {
namespace MASQUE_LEVEL {
namespace {

// Cosines and sines of the last call's shape, kept because every layer asks for the same ones.
template <class Stat>
struct Rotations {
  Stat *cosines = nullptr, *sines = nullptr;  // (T,HS/2)
  std::int64_t first_position = 0, T = 0, half = 0;
  double theta = 0;

  template <class Real>
  void update(const Rope<Real>& args) {
    if (first_position == args.first_position && T == args.T && half == args.HS / 2 &&
        theta == args.theta) {
      return;
    }
    first_position = args.first_position;
    T = args.T;
    half = args.HS / 2;
    theta = args.theta;
    constexpr Scratch name = sizeof(Stat) == 4 ? Scratch::rotations : Scratch::rotations_f64;
    cosines = scratch_of<Stat>(name, 2 * T * half);
    sines = cosines + T * half;
    for (std::int64_t i = 0; i < half; ++i) {
      const double frequency = std::pow(theta, -static_cast<double>(i) / static_cast<double>(half));
      for (std::int64_t t = 0; t < T; ++t) {
        const double angle = static_cast<double>(first_position + t) * frequency;
        cosines[t * half + i] = static_cast<Stat>(std::cos(angle));
        sines[t * half + i] = static_cast<Stat>(std::sin(angle));
      }
    }
  }
};

// direction: 1 forward, −1 the inverse rotation.
template <class Real>
void rotate(const Rope<Real>& args, stat_t<Real> direction) {
  using Stat = stat_t<Real>;
  const std::int64_t T = args.T, NH = args.NH, half = args.HS / 2, N = args.B * T;
  thread_local Rotations<Stat> rotations;
  rotations.update(args);
  const Stat* cosines = rotations.cosines;
  const Stat* sines = rotations.sines;
#pragma omp parallel for schedule(static) if (N * NH * args.HS >= kParallelElements)
  for (std::int64_t n = 0; n < N; ++n) {
    const Stat* cosine = cosines + n % T * half;
    const Stat* sine = sines + n % T * half;
    Real* row = args.qkv + n * 3 * NH * args.HS;
    for (std::int64_t head = 0; head < 2 * NH; ++head) {  // those of q, then those of k
      Real* left = row + head * args.HS;
      Real* right = left + half;
#pragma omp simd
      for (std::int64_t i = 0; i < half; ++i) {
        const Stat a = left[i], b = right[i], turn = direction * sine[i];
        left[i] = a * cosine[i] - b * turn;
        right[i] = b * cosine[i] + a * turn;
      }
    }
  }
}

}  // namespace

template <class Real>
void rope_forward(On<Cpu, Real>, const Rope<Real>& args) {
  rotate<Real>(args, 1);
}

template <class Real>
void rope_backward(On<Cpu, Real>, const Rope<Real>& args) {
  rotate<Real>(args, -1);
}

MASQUE_INSTANTIATE(rope_forward, Rope)
MASQUE_INSTANTIATE(rope_backward, Rope)

}  // namespace MASQUE_LEVEL
}  // namespace masque
