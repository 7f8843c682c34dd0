#include "tests/support/toy_likelihood.h"

#include <cmath>
#include <numeric>

#include "models/tokenizer.h"

namespace masque::test {

double window_nats(const MarkovChain& chain, std::span<const std::int32_t> tokens,
                   const Window& window) {
  const auto text = tokens.subspan(static_cast<std::size_t>(window.begin),
                                   static_cast<std::size_t>(window.length));
  const auto given = text.first(static_cast<std::size_t>(window.scored_from));
  return chain.nats(text) - (given.empty() ? 0 : chain.nats(given));
}

double closed_form(const MarkovChain& chain, std::span<const std::int32_t> tokens,
                   const std::vector<Window>& windows) {
  double sum = 0;
  for (const Window& window : windows) sum += window_nats(chain, tokens, window);
  return sum;
}

double letter_nll(std::span<const double> logits, std::int32_t token) {
  double sum = 0;
  for (std::size_t v = Tokenizer::kSpecials; v < logits.size(); ++v) sum += std::exp(logits[v]);
  return std::log(sum) - logits[static_cast<std::size_t>(token)];
}

std::vector<double> enumerated_curve(Predictor& predictor, std::span<const std::int32_t> text,
                                     std::int64_t scored_from) {
  const auto T = static_cast<std::int64_t>(text.size()), n = T - scored_from;
  const auto V = static_cast<std::size_t>(predictor.vocab_size());
  std::vector<double> sums(static_cast<std::size_t>(n) + 1), subsets(sums.size());
  for (std::uint32_t bits = 1; bits < 1u << n; ++bits) {
    std::vector<std::int32_t> ids(text.begin(), text.end());
    std::vector<std::int64_t> rows;
    for (std::int64_t i = 0; i < n; ++i) {
      if ((bits >> i & 1) == 0) continue;
      rows.push_back(scored_from + i);
      ids[static_cast<std::size_t>(scored_from + i)] = Tokenizer::kMask;
    }
    std::vector<double> logits(rows.size() * V);
    predictor.predict({ids, {}, 1, T, rows}, logits);
    for (std::size_t k = 0; k < rows.size(); ++k) {
      sums[rows.size()] +=
          letter_nll(std::span(logits).subspan(k * V, V), text[static_cast<std::size_t>(rows[k])]);
    }
    ++subsets[rows.size()];
  }
  std::vector<double> curve;
  for (std::size_t l = 1; l < sums.size(); ++l) {
    curve.push_back(sums[l] / subsets[l] / static_cast<double>(l));
  }
  return curve;
}

double enumerated_nelbo(Predictor& predictor, std::span<const std::int32_t> text,
                        std::int64_t scored_from) {
  const std::vector<double> curve = enumerated_curve(predictor, text, scored_from);
  return std::accumulate(curve.begin(), curve.end(), 0.0);
}

}  // namespace masque::test
