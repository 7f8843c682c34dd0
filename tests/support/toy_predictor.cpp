#include "tests/support/toy_predictor.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/philox.h"
#include "models/tokenizer.h"

namespace masque::test {
namespace {

constexpr double kSpecialLogit = 50;

std::size_t letter_of(std::int32_t token) {
  return static_cast<std::size_t>(token - Tokenizer::kSpecials);
}

std::size_t draw(const std::vector<double>& probabilities, double u) {
  std::size_t letter = 0;
  while (letter + 1 < probabilities.size() && u >= probabilities[letter]) {
    u -= probabilities[letter++];
  }
  return letter;
}

void normalise(std::span<double> values) {
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  for (double& value : values) value /= sum;
}

}  // namespace

double MarkovChain::nats(std::span<const std::int32_t> tokens) const {
  double sum = -std::log(initial_[letter_of(tokens[0])]);
  for (std::size_t i = 1; i < tokens.size(); ++i) {
    sum -= std::log(transition_[letter_of(tokens[i - 1])][letter_of(tokens[i])]);
  }
  return sum;
}

std::vector<std::int32_t> MarkovChain::generate(std::int64_t count, std::uint64_t seed) const {
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i < count; ++i) {
    const double u =
        uniform(philox_word(seed, stream_of(Purpose::source), 0, 0, static_cast<std::uint64_t>(i)));
    const auto& probabilities = i == 0 ? initial_ : transition_[letter_of(tokens.back())];
    tokens.push_back(Tokenizer::kSpecials + static_cast<std::int32_t>(draw(probabilities, u)));
  }
  return tokens;
}

std::vector<double> MarkovChain::conditionals(std::span<const std::int32_t> tokens) const {
  const std::size_t T = tokens.size(), K = initial_.size();
  const auto possible = [&](std::size_t i, std::size_t letter) {
    return tokens[i] == Tokenizer::kMask || letter_of(tokens[i]) == letter;
  };
  // before: p(x_i = letter | tokens before i); after: ∝ p(tokens after i | x_i = letter).
  std::vector<double> before(T * K), after(T * K, 1.0);
  std::copy(initial_.begin(), initial_.end(), before.begin());
  for (std::size_t i = 1; i < T; ++i) {
    for (std::size_t from = 0; from < K; ++from) {
      if (!possible(i - 1, from)) continue;
      for (std::size_t to = 0; to < K; ++to) {
        before[i * K + to] += before[(i - 1) * K + from] * transition_[from][to];
      }
    }
    normalise(std::span(before).subspan(i * K, K));
  }
  for (std::size_t i = T - 1; i-- > 0;) {
    for (std::size_t from = 0; from < K; ++from) {
      double sum = 0;
      for (std::size_t to = 0; to < K; ++to) {
        if (possible(i + 1, to)) sum += transition_[from][to] * after[(i + 1) * K + to];
      }
      after[i * K + from] = sum;
    }
    normalise(std::span(after).subspan(i * K, K));
  }
  for (std::size_t k = 0; k < T * K; ++k) before[k] *= after[k];
  for (std::size_t i = 0; i < T; ++i) normalise(std::span(before).subspan(i * K, K));
  return before;
}

std::vector<std::uint8_t> MarkovChain::excluded() const {
  std::vector<std::uint8_t> excluded(Tokenizer::kSpecials + initial_.size());
  std::fill_n(excluded.begin(), Tokenizer::kSpecials, std::uint8_t{1});
  return excluded;
}

MarkovChain independent_letters(const std::vector<double>& probabilities) {
  return {probabilities, {probabilities.size(), probabilities}};
}

MarkovChain alternating_letters() {
  return {{0.5, 0.5}, {{0, 1}, {1, 0}}};
}

MarkovChain uneven_letters() {
  return {{0.5, 0.3, 0.2}, {{0.1, 0.6, 0.3}, {0.7, 0.1, 0.2}, {0.25, 0.35, 0.4}}};
}

std::int64_t MarkovPredictor::vocab_size() const {
  return Tokenizer::kSpecials + chain_.letters();
}

void MarkovPredictor::predict(const PredictorInput& input, std::span<double> logits) {
  ++forwards;
  largest_batch = std::max(largest_batch, input.B);
  const auto V = static_cast<std::size_t>(vocab_size());
  const auto K = static_cast<std::size_t>(chain_.letters());
  for (std::size_t k = 0; k < input.rows.size(); ++k) {
    const std::int64_t row = input.rows[k] / input.T, position = input.rows[k] % input.T;
    const auto ids = input.ids.subspan(static_cast<std::size_t>(row * input.T),
                                       static_cast<std::size_t>(input.T));
    // What is known, as tokens of the chain, and which of them is asked for.
    std::vector<std::int32_t> known(ids.begin(), ids.end());
    auto asked = static_cast<std::size_t>(position);
    if (causal_) {
      known.resize(asked + 1);
      known.push_back(Tokenizer::kMask);
      if (known.front() == Tokenizer::kStart) {
        known.erase(known.begin());
      } else {
        ++asked;
      }
    }
    std::uint32_t hash = 17;
    for (const std::int32_t id : known) hash = hash * 31 + static_cast<std::uint32_t>(id);
    const std::vector<double> probabilities = chain_.conditionals(known);
    for (std::size_t v = 0; v < V; ++v) {
      double& logit = logits[k * V + v];
      if (v < Tokenizer::kSpecials) {
        logit = kSpecialLogit;
      } else {
        const double noise = uniform(philox(hash, {static_cast<std::uint32_t>(v), 0, 0, 0})[0]);
        logit = std::log(probabilities[asked * K + v - Tokenizer::kSpecials]) + error_ * noise;
      }
    }
  }
}

}  // namespace masque::test
