// Which kernels take an attention. bf16 on tensor cores: a block a head where the sequence is short
// enough for it, else in tiles of any number; f32, and what fits neither: f32 arithmetic.
#include <type_traits>

#include "kernels/attention.h"
#include "kernels/attention_fma.h"
#include "kernels/attention_short.h"
#include "kernels/attention_tiled.h"
#include "kernels/bf16.h"

namespace masque {

template <class Real>
void attention_forward(On<Cuda, Real> on, const AttentionForward<Real>& args) {
  if constexpr (std::is_same_v<Real, bf16>) {
    if (attention_short_fits(args)) return attention_short_forward(on, args);
    if (attention_tiled_fits(args)) return attention_tiled_forward(on, args);
  }
  attention_fma_forward(on, args);
}

template <class Real>
void attention_backward(On<Cuda, Real> on, const AttentionBackward<Real>& args) {
  if constexpr (std::is_same_v<Real, bf16>) {
    if (attention_short_fits(args)) return attention_short_backward(on, args);
    if (attention_tiled_fits(args)) return attention_tiled_backward(on, args);
  }
  attention_fma_backward(on, args);
}

template void attention_forward(On<Cuda, float>, const AttentionForward<float>&);
template void attention_forward(On<Cuda, bf16>, const AttentionForward<bf16>&);
template void attention_backward(On<Cuda, float>, const AttentionBackward<float>&);
template void attention_backward(On<Cuda, bf16>, const AttentionBackward<bf16>&);

}  // namespace masque
