// sampling: draws a token for each row of logits. Excluded entries are −∞; then temperature (0:
// argmax, ties to the lowest id), the top_k most probable, of these the fewest most probable with
// mass ≥ top_p of theirs, and an inverse-CDF draw in double, by rising id. A row without a
// distribution (NaN, +∞, all −∞) is an Error that names it; a GPU cannot throw: it draws id 0 with
// probability 0 and lowers bad_row. `probability` is the drawn token's at temperature 1, before
// top_k and top_p; `confidence`, of the same distribution, is what strategies rank rows by. The
// draw of row k is Philox at {index 0, draw_rows[k], draw, stream}. Nie et al. 2025,
// arXiv:2502.09992, section 2.4; Holtzman et al. 2019, arXiv:1904.09751 (top-p)
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace masque {

// How sure a row is, at temperature 1: the drawn token's p, or what does not depend on the draw:
// the largest p, the largest less the second, or Σ p log p.
enum class Confidence { drawn, max_prob, margin, entropy };

// Real here is the type of the logits: double from a Predictor.
template <class Real>
struct SampleTokens {
  std::int32_t* tokens;          // (K)
  double* probability;           // (K), or null
  double* confidence = nullptr;  // (K), or null
  Confidence kind = Confidence::drawn;
  std::int32_t* bad_row = nullptr;  // (1) GPU: K before, then the first row that failed
  const Real* logits;               // (K,V)
  const std::uint8_t* excluded;     // (V) 1: never drawn; or null
  const std::uint32_t* draw_rows;   // (K) what tells rows apart: sequence·context + position
  std::uint64_t seed;
  std::uint32_t stream, draw;  // draw: the step of the generation
  double temperature;          // ≥ 0
  std::int64_t top_k;          // 0: all
  double top_p;                // 1: all
  std::int64_t K, V;
  const std::uint8_t* wanted = nullptr;    // (K) 0: the row is left out, nothing written; or null
  const std::uint32_t* draw_at = nullptr;  // (1) what varies in a captured step: instead of draw
};

// What a row without a distribution is reported as.
Error no_distribution(std::int64_t row, std::int64_t K);

template <class Real>
void sample_tokens(On<Cpu, Real> on, const SampleTokens<Real>& args);
template <class Real>
void sample_tokens(On<Cuda, Real> on, const SampleTokens<Real>& args);

}  // namespace masque
