#include "kernels/reveal_tokens.h"

#include <algorithm>
#include <vector>

#include "kernels/bf16.h"
#include "kernels/row_chunks.h"

namespace masque {

template <class Real>
void wanted_positions(On<Cpu, Real>, const WantedPositions& args) {
  for (std::int64_t i = 0; i < args.n * args.T; ++i) {
    const bool due = args.due == nullptr || args.due[i] == *args.step;
    const bool its_turn = due && (args.from == nullptr || args.from[i] <= *args.step);
    args.wanted[i] = args.ids[i] == args.mask_token && its_turn ? 1 : 0;
  }
}

template <class Real>
void reveal_tokens(On<Cpu, Real>, const RevealTokens& args) {
  const std::int64_t n = args.n, T = args.T;
#pragma omp parallel for schedule(static) if (n * T >= kParallelElements)
  for (std::int64_t b = 0; b < n; ++b) {
    const std::int64_t first = b * T;
    std::vector<std::int64_t> revealed;
    for (std::int64_t i = first; i < first + T; ++i) {
      if (args.wanted[i] != 0) revealed.push_back(i);
    }
    if (args.confidence != nullptr) {
      const double* confidence = args.confidence;
      std::stable_sort(
          revealed.begin(), revealed.end(),
          [confidence](std::int64_t i, std::int64_t j) { return confidence[i] > confidence[j]; });
      revealed.resize(std::min<std::size_t>(revealed.size(), args.counts[b]));
    }
    for (const std::int64_t i : revealed) args.ids[i] = args.tokens[i];
  }
}

template void wanted_positions(On<Cpu, float>, const WantedPositions&);
template void wanted_positions(On<Cpu, bf16>, const WantedPositions&);
template void wanted_positions(On<Cpu, double>, const WantedPositions&);
template void reveal_tokens(On<Cpu, float>, const RevealTokens&);
template void reveal_tokens(On<Cpu, bf16>, const RevealTokens&);
template void reveal_tokens(On<Cpu, double>, const RevealTokens&);

}  // namespace masque
