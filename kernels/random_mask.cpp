#include "kernels/random_mask.h"

#include <cmath>

#include "kernels/bf16.h"
#include "kernels/philox.h"
#include "kernels/row_chunks.h"

namespace masque {
namespace {

// u of a global row: element 0 of the mask_ratio stream, at row 0 where one U serves all rows and
// at the global row for iid.
double unit_draw(TSampling sampling, const StepState& state, std::uint32_t row,
                 std::int64_t total_rows) {
  const std::uint32_t draw_row = sampling == TSampling::iid ? row : 0;
  const double u =
      uniform(philox_word(state.seed, stream_of(Purpose::mask_ratio), state.step, draw_row, 0));
  if (sampling != TSampling::stratified) return u;
  return (static_cast<double>(row) + u) / static_cast<double>(total_rows);
}

}  // namespace

// Which positions: element t of the mask stream, at the global row, against threshold(ratio).
template <class Real>
void random_mask(On<Cpu, Real>, const RandomMask<Real>& args) {
  const StepState& state = *args.state;
  const std::int64_t B = args.B, T = args.T;
#pragma omp parallel for schedule(static) if (B * T >= kParallelElements)
  for (std::int64_t b = 0; b < B; ++b) {
    const std::uint32_t row = state.first_row + static_cast<std::uint32_t>(b);
    const double u = unit_draw(args.sampling, state, row, args.total_rows);
    const double ratio = std::fma(1 - args.epsilon, u, args.epsilon);
    const std::uint64_t mask_below = threshold(ratio);
    const double weight =
        args.weighting == Weighting::inverse_t ? state.normaliser / ratio : state.normaliser;
    const std::int64_t length = args.lengths == nullptr ? T : args.lengths[b];
    std::array<std::uint32_t, 4> words{};
    for (std::int64_t t = 0; t < T; ++t) {
      if (t % 4 == 0) {
        words = philox(state.seed, {static_cast<std::uint32_t>(t / 4), row, state.step,
                                    stream_of(Purpose::mask)});
      }
      const std::int32_t token = args.tokens[b * T + t];
      const bool real = t < length && token != args.pad_token && token != args.start_token;
      const bool masked = real && words[t % 4] < mask_below;
      args.inputs[b * T + t] = masked ? args.mask_token : token;
      args.weights[b * T + t] = masked ? static_cast<stat_t<Real>>(weight) : stat_t<Real>{0};
    }
  }
}

template void random_mask(On<Cpu, float>, const RandomMask<float>&);
template void random_mask(On<Cpu, bf16>, const RandomMask<bf16>&);
template void random_mask(On<Cpu, double>, const RandomMask<double>&);

}  // namespace masque
