#include "models/kneser_ney.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"

namespace masque {
namespace {

// Discounts of n-grams counted once, twice, three times or more, from how many n-grams have which
// count (1 … 4). Where these do not tell, as of single characters, none of which is rare: halves.
std::array<double, 3> discounts(const std::array<double, 4>& grams_of_count) {
  const auto& n = grams_of_count;
  std::array<double, 3> result{};
  const double y = n[0] / (n[0] + 2 * n[1]);
  bool usable = true;
  for (std::size_t k = 0; k < result.size(); ++k) {
    const auto count = static_cast<double>(k + 1);
    result[k] = count - (count + 1) * y * n[k + 1] / n[k];
    usable = usable && result[k] > 0 && result[k] <= count;  // not where NaN
  }
  if (!usable) result = {0.5, 1, 1.5};
  return result;
}

std::size_t bucket(std::uint32_t count) {
  return std::min<std::size_t>(count, 3) - 1;
}

}  // namespace

KneserNey::KneserNey(std::span<const std::int32_t> text, std::int64_t order,
                     std::span<const std::uint8_t> excluded)
    : order_(order), excluded_(excluded.begin(), excluded.end()), contexts_(1) {
  if (order < 1) throw InputError(fmt::format("n-grams of order {}: give at least 1", order));
  if (text.empty()) throw InputError("an n-gram model of an empty text: give a longer text");
  entries_ = static_cast<double>(std::count(excluded_.begin(), excluded_.end(), 0));
  count(text);
  total_up();
}

void KneserNey::check(std::int32_t token) const {
  CHECK(token >= 0 && static_cast<std::size_t>(token) < excluded_.size() &&
            excluded_[static_cast<std::size_t>(token)] == 0,
        "KneserNey: token {} is not one that text may hold (vocabulary of {})", token,
        excluded_.size());
}

void KneserNey::count(std::span<const std::int32_t> text) {
  const std::size_t expected = text.size() * 2;
  longer_.reserve(expected);
  gram_of_.reserve(expected);
  for (std::size_t i = 0; i < text.size(); ++i) {
    check(text[i]);
    std::uint32_t context = 0, shorter = 0;  // the n-gram, and the one without its first token
    for (std::size_t length = 0;; ++length) {
      const auto [found, fresh] =
          gram_of_.try_emplace(key(context, text[i]), static_cast<std::uint32_t>(grams_.size()));
      const std::uint32_t gram = found->second;
      if (fresh) {
        grams_.push_back({context, {}});
        if (length > 0) ++grams_[shorter].count[histories];
      }
      ++grams_[gram].count[occurrences];
      shorter = gram;
      if (length + 1 == static_cast<std::size_t>(order_)) break;
      if (length == i) {  // the text's start is a history like any other
        ++grams_[gram].count[histories];
        break;
      }
      const auto [next, added] = longer_.try_emplace(key(context, text[i - 1 - length]),
                                                     static_cast<std::uint32_t>(contexts_.size()));
      context = next->second;
      if (added) {
        Context made;
        made.length = static_cast<std::uint32_t>(length + 1);
        contexts_.push_back(made);
      }
    }
  }
}

void KneserNey::total_up() {
  const auto orders = static_cast<std::size_t>(order_);
  std::array<std::vector<std::array<double, 4>>, kKinds> grams_of_count;
  for (auto& kind : grams_of_count) kind.resize(orders);
  for (const Gram& gram : grams_) {
    Context& context = contexts_[gram.context];
    for (const Kind kind : {occurrences, histories}) {
      const std::uint32_t count = gram.count[kind];
      if (count == 0) continue;
      context.total[kind] += count;
      ++context.grams_of_count[kind][bucket(count)];
      if (count <= 4) ++grams_of_count[kind][context.length][count - 1];
    }
  }
  for (const Kind kind : {occurrences, histories}) {
    for (const auto& counts : grams_of_count[kind]) {
      discounts_[kind].push_back(discounts(counts));
    }
  }
}

double KneserNey::interpolate(std::uint32_t context, std::int32_t token, Kind kind,
                              double lower) const {
  const Context& given = contexts_[context];
  if (given.total[kind] == 0) return lower;
  const Buckets& discount = discounts_[kind][given.length];
  double freed = 0;
  for (std::size_t k = 0; k < kBuckets; ++k) freed += discount[k] * given.grams_of_count[kind][k];
  double mass = freed * lower;
  const auto found = gram_of_.find(key(context, token));
  if (found != gram_of_.end()) {
    const std::uint32_t count = grams_[found->second].count[kind];
    if (count > 0) mass += count - discount[bucket(count)];
  }
  return mass / given.total[kind];
}

double KneserNey::probability(std::span<const std::int32_t> history, std::int32_t token) const {
  check(token);
  const std::size_t wanted = std::min(history.size(), static_cast<std::size_t>(order_ - 1));
  double p = 1 / entries_;
  std::uint32_t context = 0;
  for (std::size_t length = 0;; ++length) {
    p = interpolate(context, token, length == wanted ? occurrences : histories, p);
    if (length == wanted) return p;
    const auto next = longer_.find(key(context, history[history.size() - 1 - length]));
    if (next == longer_.end()) return p;  // no text went on from here
    context = next->second;
  }
}

double KneserNey::text_nats(std::span<const std::int32_t> text) const {
  double nats = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    nats -= std::log(probability(text.first(i), text[i]));
  }
  return nats;
}

}  // namespace masque
