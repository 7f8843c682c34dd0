// What a set of texts is like, apart from any model: how varied, how repetitive, how close to
// another set. Every measure is over tokens, and over texts of one length, since all of them depend
// on it. NaN where there is nothing to count. Definitions and traps: docs/sample-quality.md
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "models/tokenizer.h"

namespace masque {

struct TextSet {
  std::vector<std::int32_t> ids;  // (n,T)
  std::int64_t T = 0;

  std::int64_t count() const { return T > 0 ? static_cast<std::int64_t>(ids.size()) / T : 0; }
  std::span<const std::int32_t> text(std::int64_t i) const {
    return std::span(ids).subspan(static_cast<std::size_t>(i * T), static_cast<std::size_t>(T));
  }
};

// `count` disjoint texts of T tokens, spread evenly over `tokens`. InputError where they do not
// fit; `name` is what it calls them.
TextSet spread_texts(std::span<const std::int32_t> tokens, std::int64_t count, std::int64_t T,
                     const std::string& name);

// −Σ p log p of the tokens' shares, nats.
double token_entropy(const TextSet& texts);

// Different n-grams of all texts, of all their n-grams. Li et al. 2016, arXiv:1510.03055
double distinct_ngrams(const TextSet& texts, std::int64_t n);

// Mean over texts of BLEU-4 on tokens, each text against all others as references: the geometric
// mean of the clipped precisions of 1- to 4-grams, 0 where one of them is; brevity does not enter,
// as all are of one length. NaN for fewer than two texts, or T < 4.
// Zhu et al. 2018, arXiv:1802.01886; Papineni et al. 2002 (BLEU)
double self_bleu(const TextSet& texts);

// Share of n-grams that stand earlier in the same text, over all texts.
double repetition(const TextSet& texts, std::int64_t n);

// Jensen-Shannon divergence between the n-grams of both sets, nats: 0 where alike, ln 2 where they
// share none. Its bias grows as texts become fewer, so both sets must be of the same size: Error.
double ngram_divergence(const TextSet& a, const TextSet& b, std::int64_t n);

// Letters: A–Z, a–z, and code points from U+00C0 on but for ×, ÷ and the blocks of punctuation and
// symbols (U+2000 to U+2BFF, U+3000 to U+303F, U+FE30 to U+FF20); of bytes also all from 0x80 on.
// (V) 1 for a letter.
std::vector<std::uint8_t> letters_of(const Tokenizer& tokenizer);
// Words: runs of letters as they are, in capitals or not, that another token bounds at both ends;
// so neither the first nor the last run of a text that its ends may have cut.
class Lexicon {
 public:
  Lexicon(std::span<const std::int32_t> text, const Tokenizer& tokenizer);
  // Share of the texts' words that the text has, over all texts.
  double real_words(const TextSet& texts) const;

 private:
  std::vector<std::uint8_t> letters_;  // (V)
  std::set<std::u32string> words_;     // as tokens
};

}  // namespace masque
