#include "models/text_statistics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <unordered_set>

#include "core/check.h"

namespace masque {
namespace {

using Tokens = std::span<const std::int32_t>;
using Gram = std::u32string;  // tokens

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
constexpr std::int64_t kLongestOfBleu = 4;

double ratio(std::int64_t part, std::int64_t all) {
  return all == 0 ? kUnknown : static_cast<double>(part) / static_cast<double>(all);
}

// Calls visit(n-gram) for each of a text, in order.
template <class Visit>
void for_each_gram(Tokens text, std::int64_t n, Visit&& visit) {
  const auto length = static_cast<std::size_t>(n);
  for (std::size_t i = 0; i + length <= text.size(); ++i) {
    visit(Gram(text.begin() + i, text.begin() + i + length));
  }
}

std::int64_t grams_in(const TextSet& texts, std::int64_t n) {
  return std::max<std::int64_t>(0, texts.T - n + 1) * texts.count();
}

// How often each stands in all texts; ordered, so that sums over it always round alike.
std::map<Gram, std::int64_t> count_grams(const TextSet& texts, std::int64_t n) {
  std::map<Gram, std::int64_t> counts;
  for (std::int64_t i = 0; i < texts.count(); ++i) {
    for_each_gram(texts.text(i), n, [&](const Gram& gram) { ++counts[gram]; });
  }
  return counts;
}

// −p log p
double surprise(double p) {
  return p > 0 ? -p * std::log(p) : 0;
}

// Calls visit(word) for each complete word of a text.
template <class Visit>
void for_each_word(Tokens text, std::span<const std::uint8_t> letters, Visit&& visit) {
  bool bounded = false;  // what came before the word is no letter, not the text's start
  Gram word;
  for (const std::int32_t token : text) {
    if (letters[static_cast<std::size_t>(token)] != 0) {
      word.push_back(static_cast<char32_t>(token));
      continue;
    }
    if (bounded && !word.empty()) visit(word);
    word.clear();
    bounded = true;
  }
}

// The largest count of an n-gram in one text, and in any other.
struct LargestCounts {
  std::int64_t first = 0, second = 0, text = -1;

  void add(std::int64_t in_text, std::int64_t count) {
    if (count > first) {
      second = first;
      first = count;
      text = in_text;
    } else if (count > second) {
      second = count;
    }
  }
  std::int64_t outside(std::int64_t of_text) const { return of_text == text ? second : first; }
};

// (texts) the n-grams of each that another text has too, each as often as one other has it.
std::vector<std::int64_t> clipped_matches(const TextSet& texts, std::int64_t n) {
  std::vector<std::map<Gram, std::int64_t>> counts(static_cast<std::size_t>(texts.count()));
  std::map<Gram, LargestCounts> largest;
  for (std::int64_t i = 0; i < texts.count(); ++i) {
    auto& own = counts[static_cast<std::size_t>(i)];
    for_each_gram(texts.text(i), n, [&](const Gram& gram) { ++own[gram]; });
    for (const auto& entry : own) largest[entry.first].add(i, entry.second);
  }
  std::vector<std::int64_t> matches;
  for (std::int64_t i = 0; i < texts.count(); ++i) {
    std::int64_t sum = 0;
    for (const auto& entry : counts[static_cast<std::size_t>(i)]) {
      sum += std::min(entry.second, largest[entry.first].outside(i));
    }
    matches.push_back(sum);
  }
  return matches;
}

bool is_letter(char32_t c) {
  if ((c >= U'A' && c <= U'Z') || (c >= U'a' && c <= U'z')) return true;
  const bool symbol = c == 0xD7 || c == 0xF7 || (c >= 0x2000 && c <= 0x2BFF) ||
                      (c >= 0x3000 && c <= 0x303F) || (c >= 0xFE30 && c <= 0xFF20);
  return c >= 0xC0 && !symbol;
}

}  // namespace

TextSet spread_texts(Tokens tokens, std::int64_t count, std::int64_t T, const std::string& name) {
  CHECK(count >= 1 && T >= 1, "spread_texts: {} texts of {} tokens", count, T);
  const auto total = static_cast<std::int64_t>(tokens.size());
  if (total / T < count) {
    throw InputError(fmt::format(
        "{} texts of {} tokens, but {} has {} tokens: ask for at most {}, or for shorter texts",
        count, T, name, total, total / T));
  }
  TextSet texts;
  texts.T = T;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto text =
        tokens.subspan(static_cast<std::size_t>(total / count * i), static_cast<std::size_t>(T));
    texts.ids.insert(texts.ids.end(), text.begin(), text.end());
  }
  return texts;
}

double token_entropy(const TextSet& texts) {
  if (texts.ids.empty()) return kUnknown;
  double nats = 0;
  for (const auto& entry : count_grams(texts, 1)) {
    nats += surprise(ratio(entry.second, static_cast<std::int64_t>(texts.ids.size())));
  }
  return nats;
}

double distinct_ngrams(const TextSet& texts, std::int64_t n) {
  return ratio(static_cast<std::int64_t>(count_grams(texts, n).size()), grams_in(texts, n));
}

double self_bleu(const TextSet& texts) {
  if (texts.count() < 2 || texts.T < kLongestOfBleu) return kUnknown;
  std::vector<double> log_precision(static_cast<std::size_t>(texts.count()));
  for (std::int64_t n = 1; n <= kLongestOfBleu; ++n) {
    const std::vector<std::int64_t> matches = clipped_matches(texts, n);
    for (std::size_t i = 0; i < matches.size(); ++i) {
      log_precision[i] += std::log(ratio(matches[i], texts.T - n + 1)) / kLongestOfBleu;
    }
  }
  double sum = 0;
  for (const double value : log_precision) sum += std::exp(value);
  return sum / static_cast<double>(texts.count());
}

double repetition(const TextSet& texts, std::int64_t n) {
  std::int64_t repeated = 0;
  for (std::int64_t i = 0; i < texts.count(); ++i) {
    std::unordered_set<Gram> seen;
    for_each_gram(texts.text(i), n,
                  [&](const Gram& gram) { repeated += seen.insert(gram).second ? 0 : 1; });
  }
  return ratio(repeated, grams_in(texts, n));
}

double ngram_divergence(const TextSet& a, const TextSet& b, std::int64_t n) {
  CHECK(a.T == b.T && a.count() == b.count(),
        "ngram_divergence: {} texts of {} and {} of {}; sets of one size are needed", a.count(),
        a.T, b.count(), b.T);
  const std::int64_t total = grams_in(a, n);
  if (total == 0) return kUnknown;
  std::map<Gram, std::array<std::int64_t, 2>> counts;
  for (const auto& entry : count_grams(a, n)) counts[entry.first][0] = entry.second;
  for (const auto& entry : count_grams(b, n)) counts[entry.first][1] = entry.second;
  double nats = 0;
  for (const auto& entry : counts) {
    const double p = ratio(entry.second[0], total), q = ratio(entry.second[1], total);
    nats += surprise((p + q) / 2) - (surprise(p) + surprise(q)) / 2;
  }
  return std::max(0.0, nats);  // not −1e-17
}

std::vector<std::uint8_t> letters_of(const Tokenizer& tokenizer) {
  std::vector<std::uint8_t> letters(Tokenizer::kSpecials, 0);
  for (const char32_t symbol : tokenizer.symbols()) {
    const bool part_of_one = tokenizer.bytes() && symbol >= 0x80;
    letters.push_back(part_of_one || is_letter(symbol) ? 1 : 0);
  }
  return letters;
}

Lexicon::Lexicon(Tokens text, const Tokenizer& tokenizer) : letters_(letters_of(tokenizer)) {
  for_each_word(text, letters_, [&](const Gram& word) { words_.insert(word); });
}

double Lexicon::real_words(const TextSet& texts) const {
  std::int64_t words = 0, real = 0;
  for (std::int64_t i = 0; i < texts.count(); ++i) {
    for_each_word(texts.text(i), letters_, [&](const Gram& word) {
      ++words;
      real += words_.contains(word) ? 1 : 0;
    });
  }
  return ratio(real, words);
}

}  // namespace masque
