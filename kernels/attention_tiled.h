// Attention in bf16 on tensor cores, for any length. The backward is two kernels: one for dq and
// one for dk and dv, so that each sums in registers and no sum is shared.
#pragma once

#include "kernels/attention.h"
#include "kernels/bf16.h"

namespace masque {

// Head sizes 32, 64, 96 and 128, at addresses that are multiples of 16 bytes.
bool attention_tiled_fits(const AttentionForward<bf16>& args);
bool attention_tiled_fits(const AttentionBackward<bf16>& args);

void attention_tiled_forward(On<Cuda, bf16> on, const AttentionForward<bf16>& args);
void attention_tiled_backward(On<Cuda, bf16> on, const AttentionBackward<bf16>& args);

}  // namespace masque
