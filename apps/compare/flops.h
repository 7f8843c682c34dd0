// The arithmetic of training, by convention: what curves of two models are drawn against.
#pragma once

#include "models/config.h"

namespace masque {

// Forward and backward of a token read: 6 for each weight of a matrix that multiplies it (the head
// with them, embeddings not), and 12·T·C a layer for attention's two products, half of that where
// it is causal. Norms, activations and the optimizer do not count. Kaplan et al. 2020,
// arXiv:2001.08361, section 2.1
double training_flops_per_token(const ModelConfig& model);
extern const char* const kFlopsConvention;  // the same in a sentence, for a report

}  // namespace masque
