#include "kernels/residual_dropout.h"

#include <algorithm>

#include "kernels/dropped_rows.h"
#include "kernels/level.h"
#include "kernels/row_chunks.h"

namespace masque {
namespace MASQUE_LEVEL {
namespace {

constexpr std::int64_t kPiece = 4096;  // elements of a row that one task adds

template <class Real>
void add(Real* out, const Real* residual, const Real* branch, const StepState* state,
         std::uint32_t stream, double p, std::int64_t B, std::int64_t E) {
  if (p == 0 && residual == nullptr && out == branch) return;
  const std::int64_t pieces = (E + kPiece - 1) / kPiece;
#pragma omp parallel for collapse(2) schedule(static) if (B * E >= kParallelElements)
  for (std::int64_t b = 0; b < B; ++b) {
    for (std::int64_t piece = 0; piece < pieces; ++piece) {
      const std::int64_t first = piece * kPiece, count = std::min(kPiece, E - first);
      const std::int64_t at = b * E + first;
      const Real* from = residual == nullptr ? nullptr : residual + at;
      if (p > 0) {
        add_dropped(out + at, from, branch + at, state, stream, p, b, first, count);
      } else {
        add_all(out + at, from, branch + at, count);
      }
    }
  }
}

}  // namespace

template <class Real>
void residual_dropout_forward(On<Cpu, Real>, const ResidualDropoutForward<Real>& args) {
  add(args.out, args.residual, args.branch, args.state, args.stream, args.p, args.B, args.E);
}

template <class Real>
void residual_dropout_backward(On<Cpu, Real>, const ResidualDropoutBackward<Real>& args) {
  add<Real>(args.dbranch, nullptr, args.dout, args.state, args.stream, args.p, args.B, args.E);
}

MASQUE_INSTANTIATE(residual_dropout_forward, ResidualDropoutForward)
MASQUE_INSTANTIATE(residual_dropout_backward, ResidualDropoutBackward)

}  // namespace MASQUE_LEVEL
}  // namespace masque
