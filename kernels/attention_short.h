// Attention in bf16 on tensor cores for short sequences: one block has a head of one sequence in
// shared memory, so that each input is read once and each result written once, forward and
// backward.
#pragma once

#include "kernels/attention.h"
#include "kernels/bf16.h"

namespace masque {

// Head size 64, T up to 256 as far as a block's shared memory goes (backward: 256 with 163 KB, 128
// with 99 KB), at addresses that are multiples of 16 bytes.
bool attention_short_fits(const AttentionForward<bf16>& args);
bool attention_short_fits(const AttentionBackward<bf16>& args);

void attention_short_forward(On<Cuda, bf16> on, const AttentionForward<bf16>& args);
void attention_short_backward(On<Cuda, bf16> on, const AttentionBackward<bf16>& args);

}  // namespace masque
