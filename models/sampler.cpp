#include "models/sampler.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/check.h"
#include "kernels/philox.h"
#include "kernels/sampling.h"
#include "models/tokenizer.h"

namespace masque {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::size_t at(std::int64_t index) {
  return static_cast<std::size_t>(index);
}

void check_draw(const DrawOptions& options) {
  if (!(options.temperature >= 0) || std::isinf(options.temperature)) {
    throw InputError(
        fmt::format("temperature is {}: give 0 (most probable) or more", options.temperature));
  }
  if (options.top_k < 0) {
    throw InputError(fmt::format("top-k is {}: give 0 (all tokens) or more", options.top_k));
  }
  if (!(options.top_p > 0 && options.top_p <= 1)) {
    throw InputError(
        fmt::format("top-p is {}: give a share above 0, at most 1 (all tokens)", options.top_p));
  }
}

struct Drawn {
  std::vector<std::int32_t> tokens;  // (K)
  std::vector<double> probability;   // (K) at temperature 1
};

// One token for each row of logits (K,V). draw_rows (K) tells the rows of a step apart.
Drawn draw_tokens(std::span<const double> logits, std::span<const std::uint32_t> draw_rows,
                  std::int64_t step, std::span<const std::uint8_t> excluded,
                  const DrawOptions& options) {
  Drawn drawn{std::vector<std::int32_t>(draw_rows.size()), std::vector<double>(draw_rows.size())};
  auto args = draw_arguments<double>(options, static_cast<std::int64_t>(draw_rows.size()),
                                     static_cast<std::int64_t>(excluded.size()));
  args.tokens = drawn.tokens.data();
  args.probability = drawn.probability.data();
  args.logits = logits.data();
  args.excluded = excluded.data();
  args.draw_rows = draw_rows.data();
  args.draw = static_cast<std::uint32_t>(step);
  sample_tokens(On<Cpu, double>{}, args);
  return drawn;
}

// The sequences that take part in a step, packed for one forward.
struct StepBatch {
  std::vector<std::int64_t> sequences;   // (B) their numbers
  std::vector<std::int32_t> ids;         // (B,T)
  std::vector<std::int64_t> rows;        // (K) flat positions in ids
  std::vector<std::uint32_t> draw_rows;  // (K) sequence·T + position
  std::vector<std::size_t> ends;         // (B) one past the last row of each
};

// Masked diffusion, a step at a time.
class Generation {
 public:
  Generation(Predictor& predictor, std::vector<std::int32_t> sequences, std::int64_t T,
             std::span<const std::uint8_t> excluded, const SampleOptions& options)
      : predictor_(predictor),
        ids_(std::move(sequences)),
        T_(T),
        excluded_(excluded),
        options_(options),
        strategy_(make_strategy(options.strategy)) {
    MaskedStart start(ids_, T, options);
    steps_ = start.steps;
    masked_ = std::move(start.masked);
    for (const auto& positions : masked_) {
      masks_.push_back(static_cast<std::int64_t>(positions.size()));
    }
  }

  std::int64_t steps() const { return steps_; }
  std::int64_t forwards() const { return forwards_; }
  const std::vector<std::int32_t>& ids() const { return ids_; }

  void step(std::int64_t step) {
    const StepBatch batch = consider(step);
    if (batch.rows.empty()) return;
    PredictorInput input;
    input.ids = batch.ids;
    input.B = static_cast<std::int64_t>(batch.sequences.size());
    input.T = T_;
    input.rows = batch.rows;
    logits_.resize(batch.rows.size() * excluded_.size());
    predictor_.predict(input, logits_);
    ++forwards_;
    const Drawn drawn = draw_tokens(logits_, batch.draw_rows, step, excluded_, options_.draw);

    std::size_t row = 0;
    for (std::size_t k = 0; k < batch.sequences.size(); ++k) {
      const std::int64_t b = batch.sequences[k];
      std::vector<Proposal> proposals;
      for (; row < batch.ends[k]; ++row) {
        proposals.push_back({batch.rows[row] % T_, drawn.tokens[row], drawn.probability[row]});
      }
      commit(b, strategy_->choose(view(b, step), std::move(proposals)));
    }
  }

 private:
  StepView view(std::int64_t b, std::int64_t step) const {
    StepView view;
    view.step = step;
    view.steps = steps_;
    view.masks = masks_[at(b)];
    view.masked = masked_[at(b)];
    view.sequence = static_cast<std::uint32_t>(b);
    view.seed = options_.draw.seed;
    return view;
  }

  StepBatch consider(std::int64_t step) const {
    StepBatch batch;
    for (std::int64_t b = 0; b < static_cast<std::int64_t>(masked_.size()); ++b) {
      if (masked_[at(b)].empty()) continue;
      const std::vector<std::int64_t> positions = strategy_->consider(view(b, step));
      if (positions.empty()) continue;
      const auto first = static_cast<std::int64_t>(batch.sequences.size()) * T_;
      for (const std::int64_t position : positions) {
        batch.rows.push_back(first + position);
        batch.draw_rows.push_back(static_cast<std::uint32_t>(b * T_ + position));
      }
      batch.sequences.push_back(b);
      batch.ids.insert(batch.ids.end(), ids_.begin() + b * T_, ids_.begin() + (b + 1) * T_);
      batch.ends.push_back(batch.rows.size());
    }
    return batch;
  }

  void commit(std::int64_t b, const std::vector<Proposal>& chosen) {
    for (const Proposal& proposal : chosen) {
      ids_[at(b * T_ + proposal.position)] = proposal.token;
    }
    std::erase_if(masked_[at(b)], [&](std::int64_t position) {
      return ids_[at(b * T_ + position)] != Tokenizer::kMask;
    });
  }

  Predictor& predictor_;
  std::vector<std::int32_t> ids_;  // (n,T)
  std::int64_t T_;
  std::span<const std::uint8_t> excluded_;  // (V)
  SampleOptions options_;
  std::unique_ptr<const Strategy> strategy_;
  std::vector<std::vector<std::int64_t>> masked_;  // (n) positions masked now, ascending
  std::vector<std::int64_t> masks_;                // (n) how many there were at first
  std::vector<double> logits_;                     // (K,V)
  std::int64_t steps_ = 0, forwards_ = 0;
};

}  // namespace

void check_llada_request(std::span<const std::int32_t> sequences, std::int64_t T,
                         const Predictor& predictor, std::span<const std::uint8_t> excluded,
                         const SampleOptions& options) {
  CHECK(T >= 1 && T <= predictor.context(), "sample: length {} must be 1 to the context, {}", T,
        predictor.context());
  CHECK(sequences.size() % at(T) == 0, "sample: {} ids are no whole sequences of {}",
        sequences.size(), T);
  CHECK(static_cast<std::int64_t>(excluded.size()) == predictor.vocab_size() &&
            excluded[at(Tokenizer::kMask)] != 0,
        "sample: [MASK] must be among the exclusions ({}, for a vocabulary of {})", excluded.size(),
        predictor.vocab_size());
  check_draw(options.draw);
  if (options.steps < 0) {
    throw InputError(fmt::format("steps is {}: give at least 1", options.steps));
  }
}

void check_ar_request(std::int64_t n, std::span<const std::int32_t> prompt, std::int64_t length,
                      std::int64_t vocab_size, std::span<const std::uint8_t> excluded,
                      const DrawOptions& options) {
  CHECK(n >= 1 && !prompt.empty() && length >= 0,
        "sample: {} rows of {} prompt tokens and {} more; need 1, 1 and 0", n, prompt.size(),
        length);
  CHECK(static_cast<std::int64_t>(excluded.size()) == vocab_size,
        "sample: {} exclusions for a vocabulary of {}", excluded.size(), vocab_size);
  check_draw(options);
}

MaskedStart::MaskedStart(std::span<const std::int32_t> sequences, std::int64_t T,
                         const SampleOptions& options)
    : masked(sequences.size() / at(T)) {
  for (std::size_t b = 0; b < masked.size(); ++b) {
    for (std::int64_t i = 0; i < T; ++i) {
      if (sequences[b * at(T) + at(i)] == Tokenizer::kMask) masked[b].push_back(i);
    }
    steps = std::max(steps, static_cast<std::int64_t>(masked[b].size()));
  }
  if (options.steps > 0 && steps > 0) steps = options.steps;
}

SampleResult sample_llada(Predictor& predictor, std::vector<std::int32_t> sequences, std::int64_t T,
                          std::span<const std::uint8_t> excluded, const SampleOptions& options,
                          const Watch& watch) {
  const Clock::time_point start = Clock::now();
  check_llada_request(sequences, T, predictor, excluded, options);
  Generation generation(predictor, std::move(sequences), T, excluded, options);
  for (std::int64_t step = 0; step < generation.steps(); ++step) {
    generation.step(step);
    if (watch) watch(generation.ids());
  }
  return {generation.ids(), generation.forwards(), seconds_since(start)};
}

SampleResult sample_ar(Decoder& decoder, std::int64_t n, std::span<const std::int32_t> prompt,
                       std::int64_t length, std::int64_t vocab_size,
                       std::span<const std::uint8_t> excluded, const DrawOptions& options,
                       const Watch& watch) {
  const Clock::time_point start = Clock::now();
  check_ar_request(n, prompt, length, vocab_size, excluded, options);
  const auto given = static_cast<std::int64_t>(prompt.size());
  const std::int64_t T = given + length;
  SampleResult result;
  result.ids.assign(at(n * T), Tokenizer::kMask);
  std::vector<std::int32_t> next;  // (n, tokens the decoder has not read)
  std::vector<std::uint32_t> draw_rows(at(n));
  for (std::int64_t b = 0; b < n; ++b) {
    std::copy(prompt.begin(), prompt.end(), result.ids.begin() + b * T);
    next.insert(next.end(), prompt.begin(), prompt.end());
    draw_rows[at(b)] = static_cast<std::uint32_t>(b);
  }
  for (std::int64_t step = 0; step < length; ++step) {
    const std::span<const double> logits =
        decoder.append(next, static_cast<std::int64_t>(next.size()) / n);
    ++result.forwards;
    next = draw_tokens(logits, draw_rows, step, excluded, options).tokens;
    for (std::int64_t b = 0; b < n; ++b) result.ids[at(b * T + given + step)] = next[at(b)];
    if (watch) watch(result.ids);
  }
  result.seconds = seconds_since(start);
  return result;
}

}  // namespace masque
