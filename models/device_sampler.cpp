#include "models/device_sampler.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>

#include "core/captured_step.h"
#include "core/check.h"
#include "core/op_support.h"
#include "core/out_of_memory.h"
#include "kernels/reveal_tokens.h"
#include "models/generation.h"
#include "models/tokenizer.h"

namespace masque {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

template <class Value>
Value* allocate(Arena& arena, std::size_t count) {
  return static_cast<Value*>(arena.allocate_bytes(count * sizeof(Value)));
}

// A copy in device memory. Not waited for: memory that is not pinned is read before a copy returns.
template <class Value>
Value* upload(Arena& arena, std::span<const Value> values) {
  auto* const memory = allocate<Value>(arena, values.size());
  copy_on_device(arena.device(), memory, values.data(), values.size_bytes());
  return memory;
}

// 0 … count − 1.
std::uint32_t* upload_numbers(Arena& arena, std::int64_t count) {
  std::vector<std::uint32_t> numbers(at(count));
  std::iota(numbers.begin(), numbers.end(), 0u);
  return upload<std::uint32_t>(arena, numbers);
}

// Token ids in device memory and, right behind them, the first row of a draw that failed: the host
// reads both at once.
class DeviceIds {
 public:
  // draw_rows: K of the draws.
  DeviceIds(Arena& arena, std::vector<std::int32_t> ids, std::int64_t draw_rows)
      : device_(arena.device()), host_(std::move(ids)), draw_rows_(draw_rows) {
    host_.push_back(static_cast<std::int32_t>(draw_rows));
    memory_ = upload<std::int32_t>(arena, host_);
  }

  std::int32_t* data() const { return memory_; }
  std::int32_t* bad_row() const { return memory_ + host_.size() - 1; }

  // Waits for the device. Error where a row had no distribution.
  std::span<const std::int32_t> read() {
    copy_to_host(device_, host_.data(), memory_, host_.size() * sizeof(std::int32_t));
    if (host_.back() < draw_rows_) throw no_distribution(host_.back(), draw_rows_);
    return std::span(host_).first(host_.size() - 1);
  }

 private:
  Device device_;
  std::vector<std::int32_t> host_;
  std::int64_t draw_rows_;
  std::int32_t* memory_ = nullptr;
};

// Masked diffusion. What varies from step to step is known before the first: it lies in device
// memory, a row a forward, and is copied to where the recorded step reads it.
class DeviceGeneration {
 public:
  DeviceGeneration(Transformer& transformer, std::vector<std::int32_t> sequences, std::int64_t T,
                   std::span<const std::uint8_t> excluded, const SampleOptions& options,
                   bool watched)
      : transformer_(transformer),
        draw_(options.draw),
        n_(static_cast<std::int64_t>(sequences.size()) / T),
        T_(T),
        arena_(transformer.device(), "texts being generated", kFewerTexts),
        step_arena_(transformer.device(), "activations of a step of generation", kFewerTexts),
        captured_(transformer.device()) {
    plan(sequences, options);
    ids_.emplace(arena_, std::move(sequences), n_ * T);
    excluded_ = upload(arena_, excluded);
    draw_rows_ = upload_numbers(arena_, n_ * T);
    tokens_ = allocate<std::int32_t>(arena_, at(n_ * T));
    wanted_ = allocate<std::uint8_t>(arena_, at(n_ * T));
    now_ = allocate<std::uint32_t>(arena_, at(1 + n_));
    if (watched) probability_ = allocate<double>(arena_, at(n_ * T_));
  }

  std::int64_t steps() const { return steps_; }
  std::int64_t forwards() const { return static_cast<std::int64_t>(forward_steps_.size()); }
  const std::vector<std::int64_t>& sequence_forwards() const { return sequence_forwards_; }

  // Launches what a step needs; steps come in order. False where it needs nothing.
  bool step(std::int64_t step) {
    if (done_ == forwards() || forward_steps_[at(done_)] != step) return false;
    copy_on_device(transformer_.device(), now_, schedule_ + done_ * (1 + n_),
                   at(1 + n_) * sizeof(std::uint32_t));
    ++done_;
    step_arena_.reset();
    captured_.run([this] { launch(); });
    if (captured_.recorded()) step_arena_.freeze();
    return true;
  }

  std::span<const std::int32_t> read() { return ids_->read(); }

  // Of what a step drew, (n,T); meaningless elsewhere. Where watched.
  std::vector<double> read_probabilities() const {
    std::vector<double> values(at(n_ * T_));
    copy_to_host(transformer_.device(), values.data(), probability_,
                 values.size() * sizeof(double));
    return values;
  }

 private:
  // Fills the schedule and, unless ranks decide, the steps at which positions are due.
  void plan(std::span<const std::int32_t> sequences, const SampleOptions& options) {
    const MaskedStart start(sequences, T_, options);
    const std::unique_ptr<const Strategy> strategy =
        make_strategy(options.strategy, options.of_strategy);
    kind_ = strategy->kind();
    steps_ = start.steps;
    std::vector<std::uint32_t> counts(at(steps_ * n_));  // (steps,n)
    std::vector<std::uint32_t> due(at(n_ * T_)), from(at(n_ * T_));
    bool ranked = false, blocks = false;
    for (std::int64_t b = 0; b < n_; ++b) {
      for (const Block& block : start.blocks[at(b)]) {
        const std::vector<std::int64_t>& masked = block.masked;
        StepView first;
        first.steps = block.steps;
        first.masks = static_cast<std::int64_t>(masked.size());
        first.masked = masked;
        first.sequence = static_cast<std::uint32_t>(b);
        first.seed = options.draw.seed;
        const RevealPlan plan = strategy->plan(first);
        const auto begin = static_cast<std::uint32_t>(block.first_step);
        for (std::int64_t step = 0; step < block.steps; ++step) {
          counts[at((begin + step) * n_ + b)] = plan.counts[at(step)];
        }
        ranked = ranked || plan.due.empty();
        blocks = blocks || begin > 0;
        for (std::size_t i = 0; i < masked.size(); ++i) {
          if (!plan.due.empty()) due[at(b * T_ + masked[i])] = begin + plan.due[i];
          from[at(b * T_ + masked[i])] = begin;
        }
      }
    }
    std::vector<std::uint32_t> schedule;
    sequence_forwards_.resize(at(n_));
    for (std::int64_t step = 0; step < steps_; ++step) {
      const auto now = std::span(counts).subspan(at(step * n_), at(n_));
      if (std::count(now.begin(), now.end(), 0u) == n_) continue;
      forward_steps_.push_back(step);
      schedule.push_back(static_cast<std::uint32_t>(step));
      schedule.insert(schedule.end(), now.begin(), now.end());
      for (std::int64_t b = 0; b < n_; ++b) sequence_forwards_[at(b)] += now[at(b)] > 0 ? 1 : 0;
    }
    schedule_ = upload<std::uint32_t>(arena_, schedule);
    if (ranked && blocks) from_ = upload<std::uint32_t>(arena_, from);
    if (ranked) {
      confidence_ = allocate<double>(arena_, at(n_ * T_));
    } else {
      due_ = upload<std::uint32_t>(arena_, due);
    }
  }

  void launch() {
    Tape tape(step_arena_, Tape::Mode::inference);
    const Tensor ids{{n_, T_}, DType::i32, ids_->data(), nullptr, -1};
    const Tensor hidden = transformer_.hidden(tape, ids, nullptr, nullptr);
    const Tensor logits = transformer_.head(tape, hidden);
    const std::uint32_t* const step = now_;
    const std::uint32_t* const counts = now_ + 1;
    tape.run("reveal_tokens", [&](auto on) {
      using Real = real_of<decltype(on)>;
      wanted_positions(on, {.wanted = wanted_,
                            .ids = ids_->data(),
                            .due = due_,
                            .from = from_,
                            .step = step,
                            .mask_token = Tokenizer::kMask,
                            .n = n_,
                            .T = T_});
      auto draw = draw_arguments<Real>(draw_, n_ * T_, logits.shape[-1]);
      draw.tokens = tokens_;
      draw.probability = probability_;
      draw.confidence = confidence_;
      draw.kind = kind_;
      draw.bad_row = ids_->bad_row();
      draw.logits = logits.as<Real>();
      draw.excluded = excluded_;
      draw.draw_rows = draw_rows_;
      draw.draw_at = step;
      draw.wanted = wanted_;
      sample_tokens(on, draw);
      reveal_tokens(on, {.ids = ids_->data(),
                         .tokens = tokens_,
                         .confidence = confidence_,
                         .wanted = wanted_,
                         .counts = counts,
                         .n = n_,
                         .T = T_});
    });
  }

  Transformer& transformer_;
  DrawOptions draw_;
  std::int64_t n_, T_, steps_ = 0;
  Confidence kind_ = Confidence::drawn;
  std::vector<std::int64_t> forward_steps_;      // (F) the steps that reveal something
  std::vector<std::int64_t> sequence_forwards_;  // (n) in how many of them each does
  std::int64_t done_ = 0;                        // of forward_steps_
  Arena arena_, step_arena_;                     // of the generation; of a step
  CapturedStep captured_;
  std::optional<DeviceIds> ids_;        // (n,T)
  std::uint8_t* excluded_ = nullptr;    // (V)
  std::uint32_t* draw_rows_ = nullptr;  // (n,T)
  std::uint32_t* schedule_ = nullptr;   // (F,1+n) step, how many each sequence reveals
  std::uint32_t* now_ = nullptr;        // (1+n) the row of this step
  std::uint32_t* due_ = nullptr;        // (n,T) or null: ranks decide
  std::uint32_t* from_ = nullptr;       // (n,T) where blocks begin; or null: ranks and one block
  std::int32_t* tokens_ = nullptr;      // (n,T) drawn
  double* confidence_ = nullptr;        // (n,T) or null: no ranks
  double* probability_ = nullptr;       // (n,T) or null: not watched
  std::uint8_t* wanted_ = nullptr;      // (n,T)
};

}  // namespace

bool generates_on_device(const SampleOptions& options) {
  return make_strategy(options.strategy, options.of_strategy)->has_plan() && options.guidance == 0;
}

SampleResult sample_llada_on_device(Network& network, std::vector<std::int32_t> sequences,
                                    std::int64_t T, std::span<const std::uint8_t> excluded,
                                    const SampleOptions& options, const Watch& watch) {
  const Stopwatch time;
  check_llada_request(sequences, T, network, excluded, options);
  CHECK(generates_on_device(options),
        "sample: {} with guidance {} does not generate on a device alone", options.strategy,
        options.guidance);
  SampleResult result;
  result.ids = sequences;
  DeviceGeneration generation(network.transformer(), std::move(sequences), T, excluded, options,
                              watch != nullptr);
  std::vector<double> probabilities;
  for (std::int64_t step = 0; step < generation.steps(); ++step) {
    const bool any = generation.step(step);
    if (!watch) continue;
    probabilities.assign(result.ids.size(), kNan);
    if (any) {
      const std::span<const std::int32_t> ids = generation.read();
      const std::vector<double> drawn = generation.read_probabilities();
      for (std::size_t i = 0; i < ids.size(); ++i) {
        if (ids[i] != result.ids[i]) probabilities[i] = drawn[i];
        result.ids[i] = ids[i];
      }
    }
    watch({result.ids, probabilities});
  }
  if (!watch && generation.forwards() > 0) {
    const std::span<const std::int32_t> ids = generation.read();
    result.ids.assign(ids.begin(), ids.end());
  }
  result.forwards = generation.forwards();
  result.sequence_forwards = generation.sequence_forwards();
  result.seconds = time.seconds();
  return result;
}

SampleResult sample_ar_on_device(Network& network, std::int64_t n,
                                 std::span<const std::int32_t> prompt, std::int64_t length,
                                 std::span<const std::uint8_t> excluded, const DrawOptions& options,
                                 const Watch& watch) {
  const Stopwatch time;
  const std::int64_t V = network.vocab_size();
  check_ar_request(n, prompt, length, V, excluded, options);
  const auto given = static_cast<std::int64_t>(prompt.size());
  const std::int64_t T = given + length;
  SampleResult result;
  result.ids.assign(at(n * T), Tokenizer::kMask);
  std::vector<std::int32_t> prompts;  // (n,given)
  for (std::int64_t b = 0; b < n; ++b) {
    std::copy(prompt.begin(), prompt.end(), result.ids.begin() + b * T);
    prompts.insert(prompts.end(), prompt.begin(), prompt.end());
  }

  const auto decoder = network.make_decoder(n);
  Arena arena(network.transformer().device(), "texts being generated", kFewerTexts);
  DeviceIds drawn(arena, std::vector<std::int32_t>(at(length * n), Tokenizer::kMask), n);
  const std::uint8_t* const device_excluded = upload(arena, excluded);
  const std::uint32_t* const draw_rows = upload_numbers(arena, n);
  double* const probability = watch ? allocate<double>(arena, at(n)) : nullptr;
  // (length,n) drawn tokens into the result's rows.
  const auto read = [&] {
    const std::span<const std::int32_t> tokens = drawn.read();
    for (std::int64_t i = 0; i < length * n; ++i) {
      result.ids[at(i % n * T + given + i / n)] = tokens[at(i)];
    }
  };
  Tensor unread{{n, given}, DType::i32, upload<std::int32_t>(arena, prompts), nullptr, -1};
  for (std::int64_t step = 0; step < length; ++step) {
    const Tensor logits = decoder->append(unread);
    std::int32_t* const tokens = drawn.data() + step * n;
    std::visit(
        [&](auto on) {
          using Real = real_of<decltype(on)>;
          auto draw = draw_arguments<Real>(options, n, V);
          draw.tokens = tokens;
          draw.probability = probability;
          draw.bad_row = drawn.bad_row();
          draw.logits = logits.as<Real>();
          draw.excluded = device_excluded;
          draw.draw_rows = draw_rows;
          draw.draw = static_cast<std::uint32_t>(step);
          sample_tokens(on, draw);
        },
        arena.device());
    unread = {{n, 1}, DType::i32, tokens, nullptr, -1};
    ++result.forwards;
    if (!watch) continue;
    read();
    std::vector<double> last(at(n)), probabilities(result.ids.size(), kNan);
    copy_to_host(arena.device(), last.data(), probability, last.size() * sizeof(double));
    for (std::int64_t b = 0; b < n; ++b) probabilities[at(b * T + given + step)] = last[at(b)];
    watch({result.ids, probabilities});
  }
  if (!watch && length > 0) read();
  result.sequence_forwards.assign(at(n), result.forwards);
  result.seconds = time.seconds();
  return result;
}

SampleResult generate_llada(Network& network, std::vector<std::int32_t> sequences, std::int64_t T,
                            std::span<const std::uint8_t> excluded, const SampleOptions& options,
                            const Watch& watch) {
  if (on_gpu(network.transformer().device()) && generates_on_device(options)) {
    return sample_llada_on_device(network, std::move(sequences), T, excluded, options, watch);
  }
  return sample_llada(network, std::move(sequences), T, excluded, options, watch);
}

SampleResult generate_ar(Network& network, std::int64_t n, std::span<const std::int32_t> prompt,
                         std::int64_t length, std::span<const std::uint8_t> excluded,
                         const DrawOptions& options, const Watch& watch) {
  if (on_gpu(network.transformer().device())) {
    return sample_ar_on_device(network, n, prompt, length, excluded, options, watch);
  }
  return sample_ar(*network.make_decoder(n), n, prompt, length, network.vocab_size(), excluded,
                   options, watch);
}

}  // namespace masque
