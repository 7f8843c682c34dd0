// An interpolated modified Kneser-Ney model of n-grams over token ids: the judge of sample quality
// that is no neural network, fitted on text that no compared model was trained on.
// Chen and Goodman 1998, "An empirical study of smoothing techniques for language modeling"
// (TR-10-98), section 4.1.6; discounts as eq. 26
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace masque {

class KneserNey {
 public:
  // Of 1 to 9 the best, fitted on val of TinyShakespeare and asked for its train split.
  static constexpr std::int64_t kOrderForCharacters = 6;

  // N-grams of 1 … order tokens of `text`. excluded (V). InputError for an empty text or an order
  // below 1; Error where the text holds an excluded token.
  KneserNey(std::span<const std::int32_t> text, std::int64_t order,
            std::span<const std::uint8_t> excluded);

  // p(token | history), of which the last order − 1 tokens count. With fewer, the text begins
  // there: the model of that shorter order answers, from counts of its own. Sums to 1 over tokens
  // that are not excluded, whatever the history.
  double probability(std::span<const std::int32_t> history, std::int32_t token) const;
  // Σ −log p over a text, each token given the text's own earlier ones.
  double text_nats(std::span<const std::int32_t> text) const;

 private:
  // The longest n-grams seen in a history count how often they occur (occurrences); shorter ones,
  // which are asked only where a longer one fails, in how many different histories (histories).
  enum Kind : std::size_t { occurrences, histories, kKinds };
  static constexpr std::size_t kBuckets = 3;  // counts of 1, 2, and 3 or more
  using Buckets = std::array<double, kBuckets>;

  struct Gram {
    std::uint32_t context = 0;
    std::array<std::uint32_t, kKinds> count{};
  };
  struct Context {
    std::uint32_t length = 0;                    // tokens
    std::array<double, kKinds> total{};          // of its n-grams' counts
    std::array<Buckets, kKinds> grams_of_count;  // how many n-grams have which count
  };
  using Index = std::unordered_map<std::uint64_t, std::uint32_t>;

  static std::uint64_t key(std::uint32_t context, std::int32_t token) {
    return static_cast<std::uint64_t>(context) << 32 | static_cast<std::uint32_t>(token);
  }
  void check(std::int32_t token) const;
  void count(std::span<const std::int32_t> text);
  void total_up();
  double interpolate(std::uint32_t context, std::int32_t token, Kind kind, double lower) const;

  std::int64_t order_;
  std::vector<std::uint8_t> excluded_;  // (V)
  double entries_ = 0;                  // not excluded
  std::vector<Context> contexts_;       // 0: the empty one
  std::vector<Gram> grams_;
  Index longer_;   // (context, the token before it) → the context with that token in front
  Index gram_of_;  // (context, token) → the n-gram
  std::array<std::vector<Buckets>, kKinds> discounts_;  // (order) by the context's length
};

}  // namespace masque
