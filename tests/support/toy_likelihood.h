// What the likelihood of a toy comes to, by the chain rule or over all subsets of a window.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/dataset.h"
#include "tests/support/toy_predictor.h"

namespace masque::test {

// −log P of a window's scored tokens given the visible ones, by the chain rule.
double window_nats(const MarkovChain& chain, std::span<const std::int32_t> tokens,
                   const Window& window);
// Of all windows.
double closed_form(const MarkovChain& chain, std::span<const std::int32_t> tokens,
                   const std::vector<Window>& windows);

// −log softmax(logits)[token] over letters alone; logits: (V).
double letter_nll(std::span<const double> logits, std::int32_t token);
// Mean nll of a masked token of one window with 1 … n masked, (n): every subset.
std::vector<double> enumerated_curve(Predictor& predictor, std::span<const std::int32_t> text,
                                     std::int64_t scored_from);
// The bound that nelbo estimates: the sum of the curve.
double enumerated_nelbo(Predictor& predictor, std::span<const std::int32_t> text,
                        std::int64_t scored_from);

}  // namespace masque::test
