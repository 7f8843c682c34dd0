#include "models/ngram.h"

#include <cmath>

#include "core/check.h"

namespace masque {
namespace {

constexpr double kPrior = 0.5;

std::size_t checked(std::int32_t token, std::span<const std::uint8_t> excluded) {
  CHECK(token >= 0 && static_cast<std::size_t>(token) < excluded.size() &&
            excluded[static_cast<std::size_t>(token)] == 0,
        "ngram: token {} is not one that text may hold (vocabulary of {})", token, excluded.size());
  return static_cast<std::size_t>(token);
}

// Counts of `train`, and the negative log-probabilities they give.
class Counts {
 public:
  Counts(std::span<const std::int32_t> train, std::span<const std::uint8_t> excluded)
      : excluded_(excluded), V_(excluded.size()), single_(V_), pair_(V_ * V_), leading_(V_) {
    for (const std::uint8_t out : excluded) entries_ += out == 0 ? 1 : 0;
    for (std::size_t i = 0; i < train.size(); ++i) {
      const std::size_t token = checked(train[i], excluded_);
      ++single_[token];
      ++total_;
      if (i == 0) continue;
      const auto previous = static_cast<std::size_t>(train[i - 1]);
      ++pair_[previous * V_ + token];
      ++leading_[previous];
    }
  }

  double unigram(std::int32_t token) const {
    return nats(single_[checked(token, excluded_)], total_);
  }
  double bigram(std::int32_t previous, std::int32_t token) const {
    const std::size_t row = checked(previous, excluded_);
    return nats(pair_[row * V_ + checked(token, excluded_)], leading_[row]);
  }

 private:
  double nats(double count, double total) const {
    return -std::log((count + kPrior) / (total + kPrior * entries_));
  }

  std::span<const std::uint8_t> excluded_;
  std::size_t V_;
  std::vector<double> single_;   // (V)
  std::vector<double> pair_;     // (V,V) previous, token
  std::vector<double> leading_;  // (V) pairs that begin with it
  double total_ = 0, entries_ = 0;
};

// Mean over the scored tokens of nats(window's first token, index in window).
template <class Nats>
double mean_nats(const std::vector<Window>& windows, Nats&& nats) {
  double sum = 0;
  std::int64_t count = 0;
  for (const Window& window : windows) {
    for (std::int64_t i = window.scored_from; i < window.length; ++i) sum += nats(window.begin, i);
    count += window.length - window.scored_from;
  }
  CHECK(count > 0, "ngram: no scored tokens in {} windows", windows.size());
  return sum / static_cast<double>(count);
}

}  // namespace

double unigram_nats(std::span<const std::int32_t> train, std::span<const std::int32_t> tokens,
                    const std::vector<Window>& windows, std::span<const std::uint8_t> excluded) {
  const Counts counts(train, excluded);
  return mean_nats(windows, [&](std::int64_t begin, std::int64_t i) {
    return counts.unigram(tokens[static_cast<std::size_t>(begin + i)]);
  });
}

double bigram_nats(std::span<const std::int32_t> train, std::span<const std::int32_t> tokens,
                   const std::vector<Window>& windows, std::span<const std::uint8_t> excluded) {
  const Counts counts(train, excluded);
  return mean_nats(windows, [&](std::int64_t begin, std::int64_t i) {
    const auto at = static_cast<std::size_t>(begin + i);
    return i == 0 ? counts.unigram(tokens[at]) : counts.bigram(tokens[at - 1], tokens[at]);
  });
}

}  // namespace masque
