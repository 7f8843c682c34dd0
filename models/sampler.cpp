#include "models/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "models/generation.h"
#include "models/tokenizer.h"

namespace masque {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Drawn {
  std::vector<std::int32_t> tokens;  // (K)
  std::vector<double> probability;   // (K) at temperature 1
  std::vector<double> confidence;    // (K) of `kind`
};

// One token for each row of logits (K,V). draw_rows (K) tells the rows of a step apart.
Drawn draw_tokens(std::span<const double> logits, std::span<const std::uint32_t> draw_rows,
                  std::int64_t step, std::span<const std::uint8_t> excluded,
                  const DrawOptions& options, Confidence kind = Confidence::drawn) {
  const std::size_t K = draw_rows.size();
  Drawn drawn{std::vector<std::int32_t>(K), std::vector<double>(K), std::vector<double>(K)};
  auto args = draw_arguments<double>(options, static_cast<std::int64_t>(K),
                                     static_cast<std::int64_t>(excluded.size()));
  args.tokens = drawn.tokens.data();
  args.probability = drawn.probability.data();
  args.confidence = drawn.confidence.data();
  args.kind = kind;
  args.logits = logits.data();
  args.excluded = excluded.data();
  args.draw_rows = draw_rows.data();
  args.draw = static_cast<std::uint32_t>(step);
  sample_tokens(On<Cpu, double>{}, args);
  return drawn;
}

// logits := (1 + w)·logits − w·unconditional. What is impossible stays so.
void guide(std::span<double> logits, std::span<const double> unconditional, double w) {
  for (std::size_t k = 0; k < logits.size(); ++k) {
    if (logits[k] != -kInfinity) logits[k] = (1 + w) * logits[k] - w * unconditional[k];
  }
}

// How far a sequence is: its block, what of that is masked and written, its forwards.
struct Sequence {
  std::vector<Block> blocks;  // those with masks
  std::size_t block = 0;
  std::int64_t step = 0;             // of the block
  std::vector<std::int64_t> masked;  // positions masked now, ascending
  std::vector<Proposal> written;
  std::int64_t forwards = 0;

  bool done() const { return block == blocks.size(); }
  void begin() {
    step = 0;
    written.clear();
    masked = done() ? std::vector<std::int64_t>() : blocks[block].masked;
  }
};

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
        given_(sequences),
        ids_(std::move(sequences)),
        T_(T),
        excluded_(excluded),
        options_(options),
        strategy_(make_strategy(options.strategy, options.of_strategy)) {
    MaskedStart start(ids_, T, options);
    steps_ = start.steps;
    for (std::vector<Block>& blocks : start.blocks) {
      sequences_.emplace_back();
      sequences_.back().blocks = std::move(blocks);
      sequences_.back().begin();
    }
  }

  std::int64_t steps() const { return steps_; }
  // Whether steps that are left would find nothing to do.
  bool over() const {
    return strategy_->ends_early() &&
           std::all_of(sequences_.begin(), sequences_.end(),
                       [](const Sequence& sequence) { return sequence.done(); });
  }
  StepReport report() const { return {ids_, probabilities_}; }

  SampleResult result() const {
    SampleResult result{ids_, forwards_, 0, {}};
    for (const Sequence& sequence : sequences_) {
      result.sequence_forwards.push_back(sequence.forwards);
    }
    return result;
  }

  void step(std::int64_t step) {
    probabilities_.assign(ids_.size(), kNan);
    const StepBatch batch = consider();
    if (!batch.rows.empty()) {
      forward(batch);
      const Drawn drawn =
          draw_tokens(logits_, batch.draw_rows, step, excluded_, options_.draw, strategy_->kind());
      std::size_t row = 0;
      for (std::size_t k = 0; k < batch.sequences.size(); ++k) {
        const std::int64_t b = batch.sequences[k];
        std::vector<Proposal> proposals;
        for (; row < batch.ends[k]; ++row) {
          proposals.push_back({batch.rows[row] % T_, drawn.tokens[row], drawn.probability[row],
                               drawn.confidence[row]});
        }
        write(b, strategy_->choose(view(b), std::move(proposals)));
      }
    }
    for (Sequence& sequence : sequences_) advance(sequence);
  }

 private:
  void advance(Sequence& sequence) const {
    if (sequence.done()) return;
    ++sequence.step;
    const bool early = strategy_->ends_early() && sequence.masked.empty();
    if (!early && sequence.step < sequence.blocks[sequence.block].steps) return;
    ++sequence.block;
    sequence.begin();
  }

  StepView view(std::int64_t b) const {
    const Sequence& sequence = sequences_[at(b)];
    const Block& block = sequence.blocks[sequence.block];
    StepView view;
    view.step = sequence.step;
    view.steps = block.steps;
    view.masks = static_cast<std::int64_t>(block.masked.size());
    view.masked = sequence.masked;
    view.written = sequence.written;
    view.sequence = static_cast<std::uint32_t>(b);
    view.seed = options_.draw.seed;
    return view;
  }

  StepBatch consider() {
    StepBatch batch;
    for (std::int64_t b = 0; b < static_cast<std::int64_t>(sequences_.size()); ++b) {
      if (sequences_[at(b)].done()) continue;
      mask_again(b, strategy_->reconsider(view(b)));
      const std::vector<std::int64_t> positions = strategy_->consider(view(b));
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

  // Fills logits_ (K,V).
  void forward(const StepBatch& batch) {
    const bool guided = options_.guidance > 0;
    logits_.resize(batch.rows.size() * excluded_.size());
    predict(batch, batch.ids, logits_);
    if (guided) {
      std::vector<std::int32_t> ids = batch.ids;  // the given tokens masked
      for (std::size_t k = 0; k < batch.sequences.size(); ++k) {
        const std::int64_t first = batch.sequences[k] * T_;
        for (std::int64_t i = 0; i < T_; ++i) {
          if (given_[at(first + i)] != Tokenizer::kMask) ids[k * at(T_) + at(i)] = Tokenizer::kMask;
        }
      }
      unconditional_.resize(logits_.size());
      predict(batch, ids, unconditional_);
      guide(logits_, unconditional_, options_.guidance);
    }
    for (const std::int64_t b : batch.sequences) sequences_[at(b)].forwards += guided ? 2 : 1;
  }

  void predict(const StepBatch& batch, std::span<const std::int32_t> ids,
               std::span<double> logits) {
    PredictorInput input;
    input.ids = ids;
    input.B = static_cast<std::int64_t>(batch.sequences.size());
    input.T = T_;
    input.rows = batch.rows;
    predictor_.predict(input, logits);
    ++forwards_;
  }

  void mask_again(std::int64_t b, const std::vector<std::int64_t>& positions) {
    if (positions.empty()) return;
    Sequence& sequence = sequences_[at(b)];
    for (const std::int64_t position : positions) ids_[at(b * T_ + position)] = Tokenizer::kMask;
    const auto is_masked = [&](std::int64_t position) {
      return ids_[at(b * T_ + position)] == Tokenizer::kMask;
    };
    std::erase_if(sequence.written, [&](const Proposal& p) { return is_masked(p.position); });
    sequence.masked.insert(sequence.masked.end(), positions.begin(), positions.end());
    std::sort(sequence.masked.begin(), sequence.masked.end());
  }

  void write(std::int64_t b, const std::vector<Proposal>& chosen) {
    Sequence& sequence = sequences_[at(b)];
    for (const Proposal& proposal : chosen) {
      ids_[at(b * T_ + proposal.position)] = proposal.token;
      probabilities_[at(b * T_ + proposal.position)] = proposal.probability;
    }
    sequence.written.insert(sequence.written.end(), chosen.begin(), chosen.end());
    std::erase_if(sequence.masked, [&](std::int64_t position) {
      return ids_[at(b * T_ + position)] != Tokenizer::kMask;
    });
  }

  Predictor& predictor_;
  std::vector<std::int32_t> given_, ids_;  // (n,T) as it began; now
  std::vector<double> probabilities_;      // (n,T) of what this step wrote
  std::int64_t T_;
  std::span<const std::uint8_t> excluded_;  // (V)
  SampleOptions options_;
  std::unique_ptr<const Strategy> strategy_;
  std::vector<Sequence> sequences_;             // (n)
  std::vector<double> logits_, unconditional_;  // (K,V)
  std::int64_t steps_ = 0, forwards_ = 0;
};

}  // namespace

SampleResult sample_llada(Predictor& predictor, std::vector<std::int32_t> sequences, std::int64_t T,
                          std::span<const std::uint8_t> excluded, const SampleOptions& options,
                          const Watch& watch) {
  const Stopwatch time;
  check_llada_request(sequences, T, predictor, excluded, options);
  Generation generation(predictor, std::move(sequences), T, excluded, options);
  for (std::int64_t step = 0; step < generation.steps() && !generation.over(); ++step) {
    generation.step(step);
    if (watch) watch(generation.report());
  }
  SampleResult result = generation.result();
  result.seconds = time.seconds();
  return result;
}

SampleResult sample_ar(Decoder& decoder, std::int64_t n, std::span<const std::int32_t> prompt,
                       std::int64_t length, std::int64_t vocab_size,
                       std::span<const std::uint8_t> excluded, const DrawOptions& options,
                       const Watch& watch) {
  const Stopwatch time;
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
  std::vector<double> probabilities;  // (n,T)
  for (std::int64_t step = 0; step < length; ++step) {
    const std::span<const double> logits =
        decoder.append(next, static_cast<std::int64_t>(next.size()) / n);
    ++result.forwards;
    Drawn drawn = draw_tokens(logits, draw_rows, step, excluded, options);
    next = std::move(drawn.tokens);
    probabilities.assign(result.ids.size(), kNan);
    for (std::int64_t b = 0; b < n; ++b) {
      result.ids[at(b * T + given + step)] = next[at(b)];
      probabilities[at(b * T + given + step)] = drawn.probability[at(b)];
    }
    if (watch) watch({result.ids, probabilities});
  }
  result.sequence_forwards.assign(at(n), result.forwards);
  result.seconds = time.seconds();
  return result;
}

}  // namespace masque
