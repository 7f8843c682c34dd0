// How much of each text is copied: at every position the longest span ending there that occurs in
// another text, such as the train split. A suffix automaton over the texts reads that one once.
// Blumer et al. 1985, "The smallest automaton recognizing the subwords of a text"
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace masque {

// texts (n,T) → (n,T): the length of the longest run of tokens within its text that ends at this
// position and occurs in `source`; 0 where the token does not. For a vocabulary of fixed size
// memory is linear in both, time too but for a sort of 2·n·T states. Tokens must be at least 0.
std::vector<std::int64_t> copied_spans(std::span<const std::int32_t> texts, std::int64_t T,
                                       std::span<const std::int32_t> source);

}  // namespace masque
