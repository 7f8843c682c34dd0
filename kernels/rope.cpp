#include "kernels/rope.h"

#include "kernels/level.h"
#include "kernels/rotations.h"
#include "kernels/row_chunks.h"
#include "kernels/row_parts.h"

namespace masque {
namespace MASQUE_LEVEL {
namespace {

// direction: 1 forward, −1 the inverse rotation.
template <class Real>
void rotate(const Rope<Real>& args, stat_t<Real> direction) {
  using Stat = stat_t<Real>;
  const std::int64_t T = args.T, NH = args.NH, half = args.HS / 2, N = args.B * T;
  const Rotations<Stat> angles = rotations<Stat>(args.first_position, T, half, args.theta);
#pragma omp parallel for schedule(static) if (N * NH * args.HS >= kParallelElements)
  for (std::int64_t n = 0; n < N; ++n) {
    const Stat* cosine = angles.cosines + n % T * half;
    const Stat* sine = angles.sines + n % T * half;
    Real* row = args.qkv + n * 3 * NH * args.HS;
    for (std::int64_t head = 0; head < 2 * NH; ++head) {  // those of q, then those of k
      Real* left = row + head * args.HS;
      Real* right = left + half;
      for_parts<Stat>(half, [&](const auto& part) {
        const auto a = part.load(left), b = part.load(right);
        const auto stay = part.load(cosine), turn = direction * part.load(sine);
        part.store(left, a * stay - b * turn);
        part.store(right, b * stay + a * turn);
      });
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
