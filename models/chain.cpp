#include "models/chain.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "core/check.h"
#include "core/index.h"
#include "kernels/philox.h"
#include "models/likelihood_parts.h"
#include "models/scorer.h"
#include "models/tokenizer.h"

namespace masque {
namespace {

struct NamedOrder {
  const char* name;
  DecodingOrder order;
};
constexpr std::array<NamedOrder, 6> kOrders = {{{"l2r", DecodingOrder::l2r},
                                                {"r2l", DecodingOrder::r2l},
                                                {"random", DecodingOrder::random},
                                                {"max_prob", DecodingOrder::max_prob},
                                                {"margin", DecodingOrder::margin},
                                                {"entropy", DecodingOrder::entropy}}};

bool adaptive(DecodingOrder order) {
  return order == DecodingOrder::max_prob || order == DecodingOrder::margin ||
         order == DecodingOrder::entropy;
}

// How soon an adaptive order decodes a position with these logits: the larger the sooner. `terms`
// is room for one a token.
double eagerness(DecodingOrder order, std::span<const double> logits,
                 std::span<const std::uint8_t> excluded, std::vector<double>& terms) {
  double largest = -std::numeric_limits<double>::infinity(), second = largest;
  for (std::size_t v = 0; v < logits.size(); ++v) {
    if (excluded[v] != 0) continue;
    second = std::max(second, std::min(largest, logits[v]));
    largest = std::max(largest, logits[v]);
  }
  double sum = 0, weighted = 0;  // of exp(logit − largest), and of that times (logit − largest)
  terms.clear();
  for (std::size_t v = 0; v < logits.size(); ++v) {
    if (excluded[v] == 0) terms.push_back(logits[v] - largest);
  }
  for (const double term : terms) {
    const double weight = std::exp(term);
    sum += weight;
    if (weight > 0) weighted += weight * term;
  }
  if (order == DecodingOrder::max_prob) return 1 / sum;
  if (order == DecodingOrder::margin) return (1 - std::exp(second - largest)) / sum;
  return weighted / sum - std::log(sum);  // −entropy
}

// What is computed for all windows, step by step.
class Chain {
 public:
  Chain(Predictor& predictor, std::span<const std::int32_t> tokens,
        const std::vector<Window>& windows, std::span<const std::uint8_t> excluded,
        const ChainOptions& options, std::int64_t length)
      : tokens_(tokens),
        windows_(windows),
        excluded_(excluded),
        options_(options),
        length_(length),
        orders_(options.order == DecodingOrder::random ? options.draws : 1),
        scorer_(predictor, excluded, length),
        curves_(windows),
        nats_(windows.size() * at(orders_)) {}

  // Orders known beforehand: every partial state is a sequence of its own, asked for one position.
  void score_fixed() {
    for (std::int64_t k = 0; k < orders_; ++k) sequence_.push_back(fixed_order(k));
    for (std::int64_t w = 0; w < std::ssize(windows_); ++w) {
      for (std::int64_t k = 0; k < orders_; ++k) {
        std::vector<std::int32_t> ids = start_of(windows_[at(w)]);
        std::int64_t unknown = scored(w);
        for (const std::int64_t i : sequence_[at(k)]) {
          if (i < windows_[at(w)].scored_from) continue;
          std::copy(ids.begin(), ids.end(), scorer_.add_sequence().begin());
          const std::int32_t token = token_at(w, i);
          scorer_.ask(i, token);
          ids[at(i)] = token;
          states_.push_back({w, k, i, unknown--});
          if (std::ssize(states_) == options_.batch) run_fixed();
        }
      }
    }
    run_fixed();
  }

  // Orders that the logits choose: many windows at once, a position a forward each. Every forward
  // has one shape, so that a state's logits do not depend on what else is decoded.
  void score_adaptive() {
    const std::int64_t total = std::ssize(windows_);
    const std::int64_t groups = (total + options_.batch - 1) / options_.batch;
    const std::int64_t batch = (total + groups - 1) / groups;  // even shares
    std::int64_t next = 0;
    std::vector<Active> active;
    while (next < total || !active.empty()) {
      for (; next < total && std::ssize(active) < batch; ++next) {
        active.push_back({next, start_of(windows_[at(next)]), scored(next), {}});
      }
      for (const Active& window : active) {
        std::copy(window.ids.begin(), window.ids.end(), scorer_.add_sequence().begin());
        for_unknown(window, [&](std::int64_t i) { scorer_.ask(i, token_at(window.number, i)); });
      }
      scorer_.run(batch, batch * length_);
      std::size_t question = 0;
      for (Active& window : active) advance(window, question);
      const auto done = std::stable_partition(
          active.begin(), active.end(), [](const Active& window) { return window.unknown > 0; });
      for (auto window = done; window != active.end(); ++window) {
        for (const auto& [state, nll] : window->decoded) plot(state, nll);
      }
      active.erase(done, active.end());
      report(next - std::ssize(active));
    }
  }

  ChainLikelihood result() const {
    ChainLikelihood chain;
    chain.orders = orders_;
    chain.order_nats = nats_;
    for (std::size_t w = 0; w < windows_.size(); ++w) {
      const auto each = std::span(nats_).subspan(w * at(orders_), at(orders_));
      chain.mean.window_nats.push_back(std::accumulate(each.begin(), each.end(), 0.0) /
                                       static_cast<double>(orders_));
    }
    finish(chain.mean, windows_, options_.seed);
    curves_.write(chain.mean, orders_);
    chain.mean.accuracy =
        static_cast<double>(correct_) / static_cast<double>(chain.mean.tokens * orders_);
    if (orders_ > 1) chain.mean.ci95 = over_orders(chain.mean);
    return chain;
  }

 private:
  struct State {
    std::int64_t window, order, position, unknown;
  };
  struct Active {
    std::int64_t number;
    std::vector<std::int32_t> ids;  // (T) [MASK] where unknown
    std::int64_t unknown;
    std::vector<std::pair<State, double>> decoded;  // with its nll
  };

  std::int64_t scored(std::int64_t w) const { return length_ - windows_[at(w)].scored_from; }
  std::int32_t token_at(std::int64_t w, std::int64_t i) const {
    return tokens_[at(windows_[at(w)].begin + i)];
  }

  // The window with what is scored unknown, (T).
  std::vector<std::int32_t> start_of(const Window& window) const {
    const auto text = tokens_.subspan(at(window.begin), at(length_));
    std::vector<std::int32_t> ids(text.begin(), text.end());
    std::fill(ids.begin() + window.scored_from, ids.end(), Tokenizer::kMask);
    return ids;
  }

  // Order k of all positions of a window; those that are given are skipped.
  std::vector<std::int64_t> fixed_order(std::int64_t k) const {
    if (options_.order == DecodingOrder::random) {
      return random_order(0, length_, length_, options_.seed, stream_of(Purpose::likelihood, 2),
                          static_cast<std::uint32_t>(k), 0);
    }
    std::vector<std::int64_t> positions(at(length_));
    std::iota(positions.begin(), positions.end(), std::int64_t{0});
    if (options_.order == DecodingOrder::r2l) std::reverse(positions.begin(), positions.end());
    return positions;
  }

  template <class Use>
  void for_unknown(const Active& window, Use use) const {
    for (std::int64_t i = windows_[at(window.number)].scored_from; i < length_; ++i) {
      if (window.ids[at(i)] == Tokenizer::kMask) use(i);
    }
  }

  // Decodes one more position of a window, whose questions begin at `question`.
  void advance(Active& window, std::size_t& question) {
    double most = 0;
    std::int64_t position = -1;
    std::size_t answer = 0;
    for_unknown(window, [&](std::int64_t i) {
      const double value = eagerness(options_.order, scorer_.logits(question), excluded_, terms_);
      if (position < 0 || value > most) {
        most = value;
        position = i;
        answer = question;
      }
      ++question;
    });
    const State state{window.number, 0, position, window.unknown--};
    add(state, answer);
    window.decoded.emplace_back(state, scorer_.nll(answer));
    window.ids[at(position)] = token_at(window.number, position);
  }

  void run_fixed() {
    if (states_.empty()) return;
    scorer_.run();
    for (std::size_t question = 0; question < states_.size(); ++question) {
      add(states_[question], question);
      plot(states_[question], scorer_.nll(question));
    }
    const State& last = states_.back();
    const bool whole = last.unknown == 1 && last.order == orders_ - 1;
    report(last.window + (whole ? 1 : 0));
    states_.clear();
  }

  void add(const State& state, std::size_t question) {
    nats_[at(state.window * orders_ + state.order)] += scorer_.nll(question);
    correct_ += scorer_.correct(question) ? 1 : 0;
  }

  // Into the curves, window after window, so that sums do not depend on the batch.
  void plot(const State& state, double nll) {
    const Window& window = windows_[at(state.window)];
    if (!curves_.take(window)) return;
    curves_.add_masked(state.unknown, nll);
    curves_.add_position(state.position - window.scored_from, nll);
  }

  void report(std::int64_t done) const {
    if (options_.progress) options_.progress(done, std::ssize(windows_));
  }

  // Student's t over the orders' totals: they are independent, and all windows share them.
  Interval over_orders(const Likelihood& mean) const {
    double squares = 0;
    for (std::int64_t k = 0; k < orders_; ++k) {
      double nats = 0;
      for (std::int64_t w = 0; w < std::ssize(windows_); ++w) nats += nats_[at(w * orders_ + k)];
      const double deviation = nats / static_cast<double>(mean.tokens) - mean.nats_per_token;
      squares += deviation * deviation;
    }
    const double half =
        student_t(orders_ - 1) * std::sqrt(squares / static_cast<double>((orders_ - 1) * orders_));
    return {mean.nats_per_token - half, mean.nats_per_token + half};
  }

  std::span<const std::int32_t> tokens_;
  const std::vector<Window>& windows_;
  std::span<const std::uint8_t> excluded_;
  const ChainOptions& options_;
  std::int64_t length_, orders_;
  Scorer scorer_;
  Curves curves_;
  std::vector<double> nats_;                         // (W,K)
  std::vector<std::vector<std::int64_t>> sequence_;  // (K) of (T)
  std::vector<State> states_;                        // one a sequence of the batch
  std::vector<double> terms_;                        // (V) room for eagerness
  std::int64_t correct_ = 0;
};

}  // namespace

std::vector<std::string> order_names() {
  std::vector<std::string> names;
  names.reserve(kOrders.size());
  for (const NamedOrder& named : kOrders) names.emplace_back(named.name);
  return names;
}

std::string name_of(DecodingOrder order) {
  for (const NamedOrder& named : kOrders) {
    if (named.order == order) return named.name;
  }
  throw Error(fmt::format("no decoding order {}", static_cast<int>(order)));
}

DecodingOrder order_of(const std::string& name) {
  for (const NamedOrder& named : kOrders) {
    if (name == named.name) return named.order;
  }
  throw InputError(
      fmt::format("unknown order '{}': choose {}", name, fmt::join(order_names(), ", ")));
}

ChainLikelihood chain_likelihood(Predictor& predictor, std::span<const std::int32_t> tokens,
                                 const std::vector<Window>& windows,
                                 std::span<const std::uint8_t> excluded,
                                 const ChainOptions& options) {
  const std::int64_t length = check_windows(predictor, tokens, windows, excluded, options.batch);
  if (options.order == DecodingOrder::random && options.draws < 1) {
    throw InputError(fmt::format("draws is {}: give at least 1 order", options.draws));
  }
  Chain chain(predictor, tokens, windows, excluded, options, length);
  if (adaptive(options.order)) {
    chain.score_adaptive();
  } else {
    chain.score_fixed();
  }
  return chain.result();
}

Likelihood mixture_likelihood(const ChainLikelihood& chain, const std::vector<Window>& windows,
                              std::uint64_t seed) {
  const std::size_t K = at(chain.orders);
  CHECK(chain.order_nats.size() == windows.size() * K,
        "mixture: {} likelihoods of {} windows and {} orders", chain.order_nats.size(),
        windows.size(), K);
  Likelihood mixture;
  for (std::size_t w = 0; w < windows.size(); ++w) {
    const auto nats = std::span(chain.order_nats).subspan(w * K, K);
    const double least = *std::min_element(nats.begin(), nats.end());
    double sum = 0;
    for (const double value : nats) sum += std::exp(least - value);
    mixture.window_nats.push_back(least - std::log(sum / static_cast<double>(K)));
  }
  finish(mixture, windows, seed);
  mixture.accuracy = std::numeric_limits<double>::quiet_NaN();
  return mixture;
}

std::int64_t chain_forwards(const std::vector<Window>& windows, std::int64_t orders) {
  std::int64_t tokens = 0;
  for (const Window& window : windows) tokens += window.length - window.scored_from;
  return tokens * orders;
}

}  // namespace masque
