#include "models/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "core/check.h"
#include "kernels/philox.h"

namespace masque {
namespace {

constexpr double kImpossible = -std::numeric_limits<double>::infinity();

using Edges = std::vector<std::vector<Source::Edge>>;

// How many states a walk from state 0 can reach, along the edges or against them.
std::size_t reachable(const Edges& edges, bool backwards) {
  std::vector<std::vector<std::size_t>> neighbours(edges.size());
  for (std::size_t state = 0; state < edges.size(); ++state) {
    for (const Source::Edge& edge : edges[state]) {
      const auto next = static_cast<std::size_t>(edge.next);
      backwards ? neighbours[next].push_back(state) : neighbours[state].push_back(next);
    }
  }
  std::vector<bool> seen(edges.size(), false);
  std::vector<std::size_t> open = {0};
  seen[0] = true;
  std::size_t count = 0;
  while (!open.empty()) {
    const std::size_t state = open.back();
    open.pop_back();
    ++count;
    for (const std::size_t next : neighbours[state]) {
      if (!seen[next]) open.push_back(next);
      seen[next] = true;
    }
  }
  return count;
}

void validate(const Edges& edges) {
  CHECK(!edges.empty(), "source: needs at least one state");
  for (std::size_t state = 0; state < edges.size(); ++state) {
    double total = 0;
    std::array<bool, Source::kCharacters> written{};
    for (const Source::Edge& edge : edges[state]) {
      const auto character = static_cast<unsigned char>(edge.character);
      CHECK(character < 128, "source: state {} writes byte {}, not ASCII", state, character);
      CHECK(!written[character], "source: state {} writes character {} twice", state, character);
      CHECK(edge.next >= 0 && static_cast<std::size_t>(edge.next) < edges.size(),
            "source: state {} goes to {}, not one of {} states", state, edge.next, edges.size());
      CHECK(edge.probability > 0, "source: state {} has probability {}", state, edge.probability);
      written[character] = true;
      total += edge.probability;
    }
    CHECK(std::abs(total - 1) < 1e-12, "source: probabilities of state {} sum to {}", state, total);
  }
  CHECK(reachable(edges, false) == edges.size() && reachable(edges, true) == edges.size(),
        "source: every state must be reachable from every other");
}

// π of an irreducible chain by state reduction, which has no subtractions and so loses no digits.
// Grassmann, Taksar and Heyman 1985, "Regenerative analysis and steady state distributions".
std::vector<double> stationary_of(const Edges& edges) {
  const std::size_t count = edges.size();
  std::vector<double> p(count * count, 0);  // (count, count) transition probabilities
  for (std::size_t state = 0; state < count; ++state) {
    for (const Source::Edge& edge : edges[state]) {
      p[state * count + static_cast<std::size_t>(edge.next)] += edge.probability;
    }
  }
  for (std::size_t last = count - 1; last > 0; --last) {
    const double* from_last = &p[last * count];
    const double leaving = std::accumulate(from_last, from_last + last, 0.0);
    for (std::size_t i = 0; i < last; ++i) {
      double* row = &p[i * count];
      if (row[last] == 0) continue;
      row[last] /= leaving;
      for (std::size_t j = 0; j < last; ++j) row[j] += row[last] * from_last[j];
    }
  }
  std::vector<double> pi(count, 0);
  pi[0] = 1;
  for (std::size_t state = 1; state < count; ++state) {
    for (std::size_t i = 0; i < state; ++i) pi[state] += pi[i] * p[i * count + state];
  }
  const double total = std::accumulate(pi.begin(), pi.end(), 0.0);
  for (double& value : pi) value /= total;
  return pi;
}

// Divides by `total`, so that long windows do not underflow.
void rescale(std::span<double> weights, double total) {
  for (double& weight : weights) weight /= total;
}

void log_normalised(std::span<double> row) {
  const double total = std::accumulate(row.begin(), row.end(), 0.0);
  for (double& value : row) value = value > 0 ? std::log(value / total) : kImpossible;
}

}  // namespace

Source::Source() : Source(dialogue_grammar()) {}

Source::Source(std::vector<std::vector<Edge>> edges) : edges_(std::move(edges)) {
  validate(edges_);
  for (int character = 0; character < kCharacters; ++character) {
    for (std::size_t state = 0; state < edges_.size(); ++state) {
      for (const Edge& edge : edges_[state]) {
        if (static_cast<unsigned char>(edge.character) != character) continue;
        moves_.push_back({static_cast<std::int32_t>(state), edge.next, edge.probability});
      }
    }
    first_move_[static_cast<std::size_t>(character) + 1] = moves_.size();
  }
  stationary_ = stationary_of(edges_);
}

std::string Source::generate(std::int64_t characters, std::uint64_t seed) const {
  CHECK(characters >= 0, "generate: {} characters", characters);
  const auto draw = [&](std::int64_t index) {
    return uniform(
        philox_word(seed, stream_of(Purpose::source), 0, 0, static_cast<std::uint64_t>(index)));
  };
  double left = draw(0);
  std::size_t state = 0;
  while (state + 1 < stationary_.size() && left >= stationary_[state]) left -= stationary_[state++];
  std::string text;
  text.reserve(static_cast<std::size_t>(characters));
  for (std::int64_t i = 1; i <= characters; ++i) {
    const std::vector<Edge>& edges = edges_[state];
    left = draw(i);
    std::size_t chosen = 0;
    while (chosen + 1 < edges.size() && left >= edges[chosen].probability) {
      left -= edges[chosen++].probability;
    }
    text.push_back(edges[chosen].character);
    state = static_cast<std::size_t>(edges[chosen].next);
  }
  return text;
}

double Source::entropy_rate() const {
  double nats = 0;
  for (std::size_t state = 0; state < edges_.size(); ++state) {
    for (const Edge& edge : edges_[state]) {
      nats -= stationary_[state] * edge.probability * std::log(edge.probability);
    }
  }
  return nats;
}

std::span<const Source::Move> Source::moves(int character) const {
  if (character < 0) return moves_;
  const auto c = static_cast<std::size_t>(character);
  return std::span<const Move>(moves_).subspan(first_move_[c], first_move_[c + 1] - first_move_[c]);
}

double Source::advance(int character, std::span<const double> weights,
                       std::span<double> next) const {
  std::fill(next.begin(), next.end(), 0.0);
  double total = 0;
  for (const Move& move : moves(character)) {
    const double mass = weights[static_cast<std::size_t>(move.from)] * move.probability;
    next[static_cast<std::size_t>(move.to)] += mass;
    total += mass;
  }
  return total;
}

double Source::retreat(int character, std::span<const double> weights,
                       std::span<double> before) const {
  std::fill(before.begin(), before.end(), 0.0);
  double total = 0;
  for (const Move& move : moves(character)) {
    const double mass = weights[static_cast<std::size_t>(move.to)] * move.probability;
    before[static_cast<std::size_t>(move.from)] += mass;
    total += mass;
  }
  return total;
}

double Source::window_nats(std::string_view window) const {
  std::vector<double> state = stationary_, next(states());
  double nats = 0;
  for (const char character : window) {
    const double total = advance(static_cast<unsigned char>(character), state, next);
    if (total == 0) return -kImpossible;
    nats -= std::log(total);
    rescale(next, total);
    state.swap(next);
  }
  return nats;
}

std::vector<double> Source::predictions(std::string_view window) const {
  std::vector<double> rows((window.size() + 1) * kCharacters, kImpossible);
  std::vector<double> state = stationary_, next(states());
  for (std::size_t i = 0; i <= window.size(); ++i) {
    const std::span<double> row(&rows[i * kCharacters], kCharacters);
    std::fill(row.begin(), row.end(), 0.0);
    for (int c = 0; c < kCharacters; ++c) {
      for (const Move& move : moves(c)) {
        row[static_cast<std::size_t>(c)] +=
            state[static_cast<std::size_t>(move.from)] * move.probability;
      }
    }
    log_normalised(row);
    if (i == window.size()) break;
    const double total = advance(static_cast<unsigned char>(window[i]), state, next);
    if (total == 0) break;
    rescale(next, total);
    state.swap(next);
  }
  return rows;
}

std::vector<double> Source::conditionals(std::span<const int> known,
                                         std::span<const std::int64_t> positions) const {
  const std::size_t length = known.size(), count = states();
  for (const int character : known) {
    CHECK(character >= -1 && character < kCharacters, "conditionals: character {}", character);
  }
  std::vector<double> rows(positions.size() * kCharacters, kImpossible);
  // (length + 1, states): before[i] ∝ P(state at i, known before i), after[i] ∝ P(known from i |
  // state)
  std::vector<double> before((length + 1) * count), after((length + 1) * count, 1.0);
  const auto at = [count](std::vector<double>& table, std::size_t i) {
    return std::span<double>(table).subspan(i * count, count);
  };
  std::copy(stationary_.begin(), stationary_.end(), before.begin());
  for (std::size_t i = 0; i < length; ++i) {
    const double total = advance(known[i], at(before, i), at(before, i + 1));
    if (total == 0) return rows;
    rescale(at(before, i + 1), total);
  }
  for (std::size_t i = length; i-- > 0;) {
    rescale(at(after, i), retreat(known[i], at(after, i + 1), at(after, i)));
  }
  for (std::size_t k = 0; k < positions.size(); ++k) {
    const std::int64_t position = positions[k];
    CHECK(position >= 0 && static_cast<std::size_t>(position) < length,
          "conditionals: position {} of a window of {}", position, length);
    const auto i = static_cast<std::size_t>(position);
    const auto from = at(before, i), to = at(after, i + 1);
    const std::span<double> row(&rows[k * kCharacters], kCharacters);
    for (int c = 0; c < kCharacters; ++c) {
      double mass = 0;
      if (known[i] == -1 || known[i] == c) {
        for (const Move& move : moves(c)) {
          mass += from[static_cast<std::size_t>(move.from)] * move.probability *
                  to[static_cast<std::size_t>(move.to)];
        }
      }
      row[static_cast<std::size_t>(c)] = mass;
    }
    log_normalised(row);
  }
  return rows;
}

std::vector<double> Source::conditionals(std::span<const int> known) const {
  std::vector<std::int64_t> positions(known.size());
  std::iota(positions.begin(), positions.end(), std::int64_t{0});
  return conditionals(known, positions);
}

Tokenizer Source::tokenizer() const {
  std::string characters;
  for (int c = 0; c < kCharacters; ++c) {
    if (!moves(c).empty()) characters.push_back(static_cast<char>(c));
  }
  return Tokenizer::from_text(characters);
}

}  // namespace masque
