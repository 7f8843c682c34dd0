// Unigram and bigram: what any trained model must beat, on the windows that it is evaluated on.
// Probabilities are counts of `train` plus one half for every entry of the vocabulary that is not
// excluded (Jeffreys' prior).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/dataset.h"

namespace masque {

// Nats a scored token. excluded (V); tokens in [0, V), none of them excluded, else Error.
double unigram_nats(std::span<const std::int32_t> train, std::span<const std::int32_t> tokens,
                    const std::vector<Window>& windows, std::span<const std::uint8_t> excluded);

// A token given the one before it in its window; a window's first token by the unigram.
double bigram_nats(std::span<const std::int32_t> train, std::span<const std::int32_t> tokens,
                   const std::vector<Window>& windows, std::span<const std::uint8_t> excluded);

}  // namespace masque
