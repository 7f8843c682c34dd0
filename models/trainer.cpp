#include "models/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <utility>

#include "core/check.h"
#include "core/out_of_memory.h"
#include "core/profile.h"
#include "kernels/philox.h"
#include "models/likelihood.h"
#include "models/memory_plan.h"
#include "models/schedule.h"
#include "models/scorer.h"

namespace masque {
namespace {

// Keeps the draws of evaluations apart from those of training.
constexpr std::uint64_t kEvaluationSeed = 0x6d61737175650000;

std::size_t count_of(std::int64_t count) {
  return static_cast<std::size_t>(count);
}

// A micro-batch as it is sent: StepState, then tokens (B,L) and lengths (B), i32.
constexpr std::size_t kTokensAt = 64;
static_assert(sizeof(StepState) <= kTokensAt);

Splits checked(Splits splits, const RunConfig& config) {
  require_sequences(splits, config.training,
                    Objective(config.model, config.training).sequence_length());
  return splits;
}

std::size_t sent_bytes(std::int64_t B, std::int64_t L) {
  return kTokensAt + count_of(B * (L + 1)) * sizeof(std::int32_t);
}

}  // namespace

Trainer::Trainer(const RunConfig& config, const Tokenizer& tokenizer, Splits splits, Device device)
    : config_(config),
      excluded_(tokenizer.excluded()),
      splits_(checked(std::move(splits), config)),
      transformer_(config.model, device),
      network_(transformer_),
      objective_(config.model, config.training),
      optimizer_(transformer_.parameters(), config.training),
      sequences_(splits_.train, objective_.sequence_length(), config.training.stride,
                 config.training.seed),
      batch_arena_(device, "a batch", kSmallerStep),
      step_arena_(device, "activations of a training step", kSmallerStep),
      batch_(objective_.allocate(batch_arena_, config.training.batch)),
      device_batch_(device, sent_bytes(config.training.batch, objective_.sequence_length()),
                    "a batch", kSmallerStep),
      device_totals_(device, sizeof(Totals), "step totals"),
      device_excluded_(device, excluded_.size(), "excluded vocabulary"),
      upload_(device, device_batch_.size()),
      micro_step_(device),
      update_(device) {
  CHECK(config.model.vocab_size == tokenizer.vocab_size(),
        "trainer: vocab_size {} must be the tokenizer's {}", config.model.vocab_size,
        tokenizer.vocab_size());
  copy_to_device(device, device_excluded_.data(), excluded_.data(), excluded_.size());
  batch_.loss.excluded = reinterpret_cast<std::uint8_t*>(device_excluded_.data());
  const std::int64_t B = config.training.batch, L = objective_.sequence_length();
  std::byte* const tokens = device_batch_.data() + kTokensAt;
  batch_.tokens = {{B, L}, DType::i32, tokens, nullptr, -1};
  batch_.lengths = {{B}, DType::i32, tokens + count_of(B * L) * sizeof(std::int32_t), nullptr, -1};
  transformer_.initialise(config.training.seed);
  optimizer_.start_ema();
  step_arena_.reserve(step_bytes(config, device));
}

void Trainer::set_capture(bool enabled) {
  micro_step_.set_enabled(enabled);
  update_.set_enabled(enabled);
}

void Trainer::send_rows(std::int64_t first, const std::vector<Sequences::Place>& places,
                        const StepState& state) {
  const std::int64_t B = config_.training.batch, L = objective_.sequence_length();
  std::byte* const buffer = upload_.buffer();
  std::memcpy(buffer, &state, sizeof state);
  auto* const tokens = reinterpret_cast<std::int32_t*>(buffer + kTokensAt);
  for (std::int64_t b = 0; b < B; ++b) {
    const Sequences::Place& place = places[count_of(first + b)];
    sequences_.read(place, tokens + b * L);
    tokens[B * L + b] = static_cast<std::int32_t>(objective_.scored(place.real));
  }
  upload_.send(device_batch_.data());
}

void Trainer::micro_step() {
  const std::int64_t rows = config_.training.batch * config_.training.accumulation;
  {
    const TimedOp timed("prepare", Pass::forward);
    objective_.prepare(transformer_.device(), batch_, state(), rows);
  }
  Tape tape(step_arena_, Tape::Mode::training);
  objective_.loss(tape, transformer_, batch_, state(),
                  {.loss = &totals()->loss, .counts = &totals()->weighed});
  tape.backward();
}

void Trainer::step() {
  const TrainingConfig& training = config_.training;
  CHECK(state_.steps < training.steps, "trainer: all {} steps are done", training.steps);
  const std::int64_t B = training.batch, rows = B * training.accumulation;
  std::vector<Sequences::Place> places;
  std::int64_t scored = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    places.push_back(sequences_.find((state_.steps + state_.skipped_batches) * rows + row));
    scored += objective_.scored(places.back().real);
  }

  StepState host_state;
  host_state.seed = training.seed;
  host_state.step = static_cast<std::uint32_t>(state_.steps);
  host_state.normaliser = 1.0 / static_cast<double>(scored);
  host_state.lr = learning_rate(training, state_.steps);
  fill_zero(transformer_.device(), totals(), offsetof(Totals, skipped));
  {
    const TimedOp timed("zero gradients", Pass::backward);
    transformer_.parameters().zero_grad();
  }
  for (std::int64_t first = 0; first < rows; first += B) {
    host_state.first_row = static_cast<std::uint32_t>(first);
    send_rows(first, places, host_state);
    step_arena_.reset();
    micro_step_.run([this] { micro_step(); });
    if (micro_step_.recorded()) step_arena_.freeze();
  }
  update_.run([this] {
    const TimedOp timed("update", Pass::backward);
    optimizer_.update(state(), &totals()->skipped);
  });
  ++state_.steps;
  state_.tokens += scored;
}

StepMetrics Trainer::metrics() const {
  StepState host_state;
  Totals host_totals;
  copy_to_host(transformer_.device(), &host_state, state(), sizeof host_state);
  copy_to_host(transformer_.device(), &host_totals, totals(), sizeof host_totals);
  const auto weighed = static_cast<double>(std::max<std::int64_t>(1, host_totals.weighed));
  return {.loss = host_totals.loss,
          .accuracy = static_cast<double>(host_totals.right) / weighed,
          .lr = host_state.lr,
          .grad_norm = host_state.grad_norm,
          .finite = host_state.finite != 0,
          .skipped = host_totals.skipped};
}

std::vector<Window> Trainer::evaluation_windows(std::int64_t tokens) const {
  const TrainingConfig& training = config_.training;
  if (!training.eval_crops) return subset(windows_for(config_, tokens), training.eval_windows);
  const std::int64_t L = objective_.sequence_length(), first_scored = L - config_.model.context;
  std::vector<Window> crops;
  const std::uint64_t offsets = static_cast<std::uint64_t>(tokens - L + 1);
  for (std::int64_t i = 0; i < training.eval_windows; ++i) {
    const std::uint32_t word =
        philox_word(training.seed ^ kEvaluationSeed, stream_of(Purpose::data),
                    static_cast<std::uint32_t>(state_.steps), 0, static_cast<std::uint64_t>(i));
    crops.push_back({static_cast<std::int64_t>(word * offsets >> 32), L, first_scored});
  }
  return crops;
}

Evaluation Trainer::evaluate(const std::string& split, Weights weights) {
  CHECK(split == "train" || split == "val", "trainer: split {} must be train or val", split);
  if (weights == Weights::averaged) return evaluate_averaged(split);
  const std::vector<std::int32_t>& tokens = split == "train" ? splits_.train : splits_.val;
  LikelihoodOptions options;
  options.draws = config_.training.eval_draws;
  options.batch = evaluation_batch(config_.model);
  options.seed = config_.training.seed ^ kEvaluationSeed;
  options.start_token = config_.training.start_token;
  const auto windows = evaluation_windows(static_cast<std::int64_t>(tokens.size()));
  const auto estimate = transformer_.causal() ? exact_likelihood : nelbo_likelihood;
  try {
    const Likelihood likelihood = estimate(network_, tokens, windows, excluded_, options);
    return {likelihood.nats_per_token, likelihood.accuracy};
  } catch (const NotFinite&) {
    return {NAN, NAN};
  }
}

// The averages in the weights' place, and the weights' own bits back after it.
Evaluation Trainer::evaluate_averaged(const std::string& split) {
  ParameterStore& store = transformer_.parameters();
  const auto arenas = optimizer_.arenas();
  CHECK(arenas.count("ema") == 1, "trainer: no averaged weights where ema is {}",
        config_.training.ema);
  const ParameterCopy weights(store);
  Evaluation evaluation;
  try {
    for (const Parameter& parameter : store.parameters()) {
      store.write(parameter, store.read(parameter, arenas.at("ema")));
    }
    evaluation = evaluate(split);
  } catch (...) {
    weights.restore();
    throw;
  }
  weights.restore();
  return evaluation;
}

double Trainer::epoch() const {
  return static_cast<double>(state_.tokens) / static_cast<double>(splits_.train.size());
}

bool Trainer::note_val(double loss) {
  if (!(loss < state_.best_loss)) return false;
  state_.best_loss = loss;
  return true;
}

}  // namespace masque
