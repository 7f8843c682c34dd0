// reveal_tokens: a step of masked diffusion's reverse process, in place on ids. First
// wanted_positions says which masked positions a step draws tokens for: all, those whose turn
// (`due`) it is, or those of blocks that have begun (`from`). Then reveal_tokens writes, in each
// sequence, the `count` wanted tokens of highest confidence, ties to the lowest position; without
// confidences, all that are wanted. Moves: wanted_positions reads 1 to 3·n·T of 4 bytes and writes
// n·T bytes; reveal_tokens reads n·T bytes and confidences, from the cache once for each bit that
// tells them apart. Latency bound. Nie et al. 2025, arXiv:2502.09992, algorithms 4 and 5
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace masque {

struct WantedPositions {
  std::uint8_t* wanted;       // (n,T) 1: draw a token
  const std::int32_t* ids;    // (n,T)
  const std::uint32_t* due;   // (n,T) the step that reveals a position; or null: any may
  const std::uint32_t* from;  // (n,T) the first step that may reveal it; or null: any may
  const std::uint32_t* step;  // (1)
  std::int32_t mask_token;
  std::int64_t n, T;
};

struct RevealTokens {
  std::int32_t* ids;            // (n,T) those revealed are written
  const std::int32_t* tokens;   // (n,T) read where wanted
  const double* confidence;     // (n,T) likewise, no NaN; or null: all are revealed
  const std::uint8_t* wanted;   // (n,T)
  const std::uint32_t* counts;  // (n) how many to reveal; not read without confidences
  std::int64_t n, T;
};

template <class Real>
void wanted_positions(On<Cpu, Real> on, const WantedPositions& args);
template <class Real>
void wanted_positions(On<Cuda, Real> on, const WantedPositions& args);

template <class Real>
void reveal_tokens(On<Cpu, Real> on, const RevealTokens& args);
template <class Real>
void reveal_tokens(On<Cuda, Real> on, const RevealTokens& args);

}  // namespace masque
