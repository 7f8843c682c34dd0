#include "kernels/next_token.h"

#include "kernels/bf16.h"
#include "kernels/philox.h"

namespace masque {

template <class Real>
void next_token(On<Cpu, Real> /*on*/, const NextToken<Real>& args) {
  const std::int64_t T = args.T;
  const bool shifted = args.first_token >= 0;
  const std::int64_t row_tokens = shifted ? T : T + 1;
  const StepState& state = *args.state;
  const std::uint64_t mask_below = args.input_masking > 0 ? threshold(args.input_masking) : 0;
  for (std::int64_t b = 0; b < args.B; ++b) {
    const std::int32_t* tokens = args.tokens + b * row_tokens;
    const std::int64_t length = args.lengths == nullptr ? T : args.lengths[b];
    const std::uint32_t row = state.first_row + static_cast<std::uint32_t>(b);
    for (std::int64_t t = 0; t < T; ++t) {
      const std::int64_t out = b * T + t;
      args.targets[out] = shifted ? tokens[t] : tokens[t + 1];
      args.inputs[out] = shifted ? (t == 0 ? args.first_token : tokens[t - 1]) : tokens[t];
      args.weights[out] = t < length ? static_cast<stat_t<Real>>(state.normaliser) : 0;
      if (mask_below > 0 && args.inputs[out] != args.first_token &&
          philox_word(state.seed, stream_of(Purpose::mask), state.step, row,
                      static_cast<std::uint64_t>(t)) < mask_below) {
        args.inputs[out] = args.mask_token;
      }
    }
  }
}

template void next_token(On<Cpu, float>, const NextToken<float>&);
template void next_token(On<Cpu, bf16>, const NextToken<bf16>&);
template void next_token(On<Cpu, double>, const NextToken<double>&);

}  // namespace masque
