#include "kernels/residual_dropout.h"

#include <algorithm>

#include "kernels/dropped_rows.h"
#include "kernels/level.h"
#include "kernels/row_chunks.h"

namespace masque {
namespace MASQUE_LEVEL {
namespace {

constexpr std::int64_t kPiece = 4096;  // elements of a row that one task adds

}  // namespace

template <class Real>
void residual_dropout_forward(On<Cpu, Real>, const ResidualDropoutForward<Real>& args) {
  if (!adds(args)) return;
  const std::int64_t B = args.B, pieces = (args.E + kPiece - 1) / kPiece;
#pragma omp parallel for collapse(2) schedule(static) if (B * args.E >= kParallelElements)
  for (std::int64_t b = 0; b < B; ++b) {
    for (std::int64_t piece = 0; piece < pieces; ++piece) {
      const std::int64_t first = piece * kPiece;
      add_part(args, b, first, std::min(kPiece, args.E - first));
    }
  }
}

template <class Real>
void residual_dropout_backward(On<Cpu, Real> on, const ResidualDropoutBackward<Real>& args) {
  MASQUE_LEVEL::residual_dropout_forward(on, forward_of_gradient(args));
}

MASQUE_INSTANTIATE(residual_dropout_forward, ResidualDropoutForward)
MASQUE_INSTANTIATE(residual_dropout_backward, ResidualDropoutBackward)

}  // namespace MASQUE_LEVEL
}  // namespace masque
