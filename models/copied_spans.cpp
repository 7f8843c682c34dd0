#include "models/copied_spans.h"

#include <algorithm>
#include <numeric>

#include "core/check.h"

namespace masque {
namespace {

constexpr std::int32_t kBetween = -1;  // between texts: in no source, so no span crosses it
constexpr std::int32_t kNone = -1;

// States stand for sets of substrings that end at the same places: all suffixes of the longest of
// them that are longer than the longest of their link.
class SuffixAutomaton {
 public:
  explicit SuffixAutomaton(std::size_t tokens) {
    states_.reserve(2 * tokens + 2);
    states_.emplace_back();
  }

  // Appends a token; returns the state of all that was appended so far.
  std::int32_t extend(std::int32_t token) {
    const auto state = static_cast<std::int32_t>(states_.size());
    states_.push_back({at(last_).length + 1, 0, {}});
    std::int32_t before = last_;
    last_ = state;
    for (; before != kNone && next(before, token) == kNone; before = at(before).link) {
      at(before).edges.push_back({token, state});
    }
    if (before == kNone) return state;
    const std::int32_t after = next(before, token);
    at(state).link =
        at(after).length == at(before).length + 1 ? after : split(before, after, token);
    return state;
  }

  // (states) the longest suffix of the state's substrings that occurs in `source`.
  std::vector<std::int64_t> match(std::span<const std::int32_t> source) const {
    std::vector<std::int64_t> longest(states_.size());
    std::int32_t state = 0;
    std::int64_t length = 0;
    for (const std::int32_t token : source) {
      while (state != 0 && next(state, token) == kNone) {
        state = at(state).link;
        length = at(state).length;
      }
      const std::int32_t to = next(state, token);
      if (to == kNone) continue;
      state = to;
      std::int64_t& known = longest[static_cast<std::size_t>(state)];
      known = std::max(known, ++length);
    }
    // What occurs, occurs with all its suffixes; what does not may have a suffix that does.
    std::vector<std::int32_t> order(states_.size() - 1);
    std::iota(order.begin(), order.end(), 1);
    std::sort(order.begin(), order.end(),
              [&](std::int32_t a, std::int32_t b) { return at(a).length < at(b).length; });
    for (auto it = order.rbegin(); it != order.rend(); ++it) {
      const auto link = static_cast<std::size_t>(at(*it).link);
      if (longest[static_cast<std::size_t>(*it)] > 0) longest[link] = states_[link].length;
    }
    for (const std::int32_t it : order) {
      std::int64_t& known = longest[static_cast<std::size_t>(it)];
      if (known == 0) known = longest[static_cast<std::size_t>(at(it).link)];
    }
    return longest;
  }

 private:
  struct Edge {
    std::int32_t token, to;
  };
  struct State {
    std::int64_t length = 0;  // of the longest
    std::int32_t link = kNone;
    std::vector<Edge> edges;
  };

  State& at(std::int32_t state) { return states_[static_cast<std::size_t>(state)]; }
  const State& at(std::int32_t state) const { return states_[static_cast<std::size_t>(state)]; }

  std::int32_t next(std::int32_t state, std::int32_t token) const {
    for (const Edge& edge : at(state).edges) {
      if (edge.token == token) return edge.to;
    }
    return kNone;
  }

  // Parts from `after` those of its substrings that `before` and `token` make.
  std::int32_t split(std::int32_t before, std::int32_t after, std::int32_t token) {
    const auto part = static_cast<std::int32_t>(states_.size());
    State copy = at(after);
    copy.length = at(before).length + 1;
    states_.push_back(std::move(copy));
    at(after).link = part;
    for (; before != kNone; before = at(before).link) {
      const auto edge = std::find_if(at(before).edges.begin(), at(before).edges.end(),
                                     [&](const Edge& one) { return one.token == token; });
      if (edge == at(before).edges.end() || edge->to != after) break;
      edge->to = part;
    }
    return part;
  }

  std::vector<State> states_;  // 0: the empty substring
  std::int32_t last_ = 0;
};

}  // namespace

std::vector<std::int64_t> copied_spans(std::span<const std::int32_t> texts, std::int64_t T,
                                       std::span<const std::int32_t> source) {
  CHECK(T >= 1 && texts.size() % static_cast<std::size_t>(T) == 0,
        "copied_spans: {} tokens are no texts of {}", texts.size(), T);
  SuffixAutomaton automaton(texts.size() + texts.size() / static_cast<std::size_t>(T));
  std::vector<std::int32_t> ends;  // (n,T) the state of everything up to here
  for (std::size_t i = 0; i < texts.size(); ++i) {
    CHECK(texts[i] >= 0, "copied_spans: token {} at {}", texts[i], i);
    if (i > 0 && i % static_cast<std::size_t>(T) == 0) automaton.extend(kBetween);
    ends.push_back(automaton.extend(texts[i]));
  }
  const std::vector<std::int64_t> longest = automaton.match(source);
  std::vector<std::int64_t> spans;
  spans.reserve(ends.size());
  for (const std::int32_t state : ends) spans.push_back(longest[static_cast<std::size_t>(state)]);
  return spans;
}

}  // namespace masque
