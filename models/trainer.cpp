#include "models/trainer.h"

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "kernels/philox.h"
#include "models/likelihood.h"
#include "models/schedule.h"

namespace masque {
namespace {

// Keeps the draws of evaluations apart from those of training.
constexpr std::uint64_t kEvaluationSeed = 0x6d61737175650000;

std::size_t count_of(std::int64_t count) {
  return static_cast<std::size_t>(count);
}

// Of the positions that weigh: how many, and how many the network got right.
std::pair<std::int64_t, std::int64_t> count_correct(const Device& device, const Batch& batch,
                                                    const LossResult& result) {
  const std::size_t N = count_of(result.correct.shape.count());
  std::vector<std::int32_t> correct(N);
  copy_to_host(device, correct.data(), result.correct.data, N * sizeof(std::int32_t));
  std::int64_t weighed = 0, right = 0;
  std::visit(
      [&](auto on) {
        using Param = param_t<typename decltype(on)::real>;
        std::vector<Param> weights(N);
        copy_to_host(device, weights.data(), batch.loss.weights.as<Param>(), N * sizeof(Param));
        for (std::size_t i = 0; i < N; ++i) {
          if (weights[i] == 0) continue;
          ++weighed;
          right += correct[i];
        }
      },
      device);
  return {weighed, right};
}

}  // namespace

Trainer::Trainer(const RunConfig& config, const Tokenizer& tokenizer, Splits splits, Device device)
    : config_(config),
      excluded_(tokenizer.excluded()),
      splits_(std::move(splits)),
      transformer_(config.model, device),
      network_(transformer_),
      objective_(config.model, config.training),
      optimizer_(transformer_.parameters(), config.training),
      sequences_(splits_.train, objective_.sequence_length(), config.training.stride,
                 config.training.seed),
      batch_arena_(device, "batch"),
      step_arena_(device, "training step"),
      batch_(objective_.allocate(batch_arena_, config.training.batch)),
      device_state_(device, sizeof(StepState), "step state"),
      device_loss_(device, sizeof(double), "loss"),
      device_excluded_(device, excluded_.size(), "excluded vocabulary") {
  CHECK(config.model.vocab_size == tokenizer.vocab_size(),
        "trainer: vocab_size {} must be the tokenizer's {}", config.model.vocab_size,
        tokenizer.vocab_size());
  const auto val = static_cast<std::int64_t>(splits_.val.size());
  if (val > 0 && val < objective_.sequence_length()) {
    throw InputError(fmt::format(
        "val split has {} tokens, fewer than a window of {}: give a longer text, a larger "
        "val_fraction or a smaller context",
        val, objective_.sequence_length()));
  }
  copy_to_device(device, device_excluded_.data(), excluded_.data(), excluded_.size());
  batch_.loss.excluded = reinterpret_cast<std::uint8_t*>(device_excluded_.data());
  const std::int64_t rows = config.training.batch * config.training.accumulation;
  host_tokens_.resize(count_of(rows * objective_.sequence_length()));
  host_lengths_.resize(count_of(rows));
  transformer_.initialise(config.training.seed);
  optimizer_.start_ema();
}

std::int64_t Trainer::read_sequences() {
  const auto rows = static_cast<std::int64_t>(host_lengths_.size());
  std::int64_t scored = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t real = sequences_.read(
        steps_done_ * rows + row, host_tokens_.data() + row * objective_.sequence_length());
    host_lengths_[count_of(row)] = static_cast<std::int32_t>(objective_.scored(real));
    scored += objective_.scored(real);
  }
  return scored;
}

StepMetrics Trainer::step() {
  const TrainingConfig& training = config_.training;
  CHECK(steps_done_ < training.steps, "trainer: all {} steps are done", training.steps);
  const Device& device = transformer_.device();
  const std::int64_t B = training.batch, L = objective_.sequence_length();
  const std::int64_t scored = read_sequences();
  auto* state = reinterpret_cast<StepState*>(device_state_.data());
  auto* loss = reinterpret_cast<double*>(device_loss_.data());

  StepState host_state;
  host_state.seed = training.seed;
  host_state.step = static_cast<std::uint32_t>(steps_done_);
  host_state.lr = learning_rate(training, steps_done_);
  double host_loss = 0;
  copy_to_device(device, loss, &host_loss, sizeof host_loss);
  transformer_.parameters().zero_grad();

  std::int64_t weighed = 0, right = 0;
  for (std::int64_t micro = 0; micro < training.accumulation; ++micro) {
    host_state.first_row = static_cast<std::uint32_t>(micro * B);
    copy_to_device(device, state, &host_state, sizeof host_state);
    copy_to_device(device, batch_.tokens.data, host_tokens_.data() + micro * B * L,
                   count_of(B * L) * sizeof(std::int32_t));
    copy_to_device(device, batch_.lengths.data, host_lengths_.data() + micro * B,
                   count_of(B) * sizeof(std::int32_t));
    objective_.prepare(device, batch_, state, B * training.accumulation,
                       1.0 / static_cast<double>(scored));
    step_arena_.reset();
    Tape tape(step_arena_, Tape::Mode::training);
    const LossResult result = objective_.loss(tape, transformer_, batch_, state, loss);
    tape.backward();
    const auto [micro_weighed, micro_right] = count_correct(device, batch_, result);
    weighed += micro_weighed;
    right += micro_right;
  }
  optimizer_.update(state);
  ++steps_done_;
  tokens_seen_ += scored;

  copy_to_host(device, &host_state, state, sizeof host_state);
  copy_to_host(device, &host_loss, loss, sizeof host_loss);
  return {host_loss,
          static_cast<double>(right) / static_cast<double>(std::max<std::int64_t>(1, weighed)),
          host_state.lr, host_state.grad_norm, host_state.finite != 0};
}

std::vector<Window> Trainer::evaluation_windows(std::int64_t tokens) const {
  const TrainingConfig& training = config_.training;
  const std::int64_t L = objective_.sequence_length(), first_scored = L - config_.model.context;
  if (!training.eval_crops) {
    const auto all =
        first_scored == 0 ? cover(tokens, L) : cover_with_context(tokens, config_.model.context);
    return subset(all, training.eval_windows);
  }
  std::vector<Window> crops;
  const std::uint64_t offsets = static_cast<std::uint64_t>(tokens - L + 1);
  for (std::int64_t i = 0; i < training.eval_windows; ++i) {
    const std::uint32_t word =
        philox_word(training.seed ^ kEvaluationSeed, stream_of(Purpose::data),
                    static_cast<std::uint32_t>(steps_done_), 0, static_cast<std::uint64_t>(i));
    crops.push_back({static_cast<std::int64_t>(word * offsets >> 32), L, first_scored});
  }
  return crops;
}

Evaluation Trainer::evaluate(const std::string& split) {
  CHECK(split == "train" || split == "val", "trainer: split {} must be train or val", split);
  const std::vector<std::int32_t>& tokens = split == "train" ? splits_.train : splits_.val;
  LikelihoodOptions options;
  options.draws = config_.training.eval_draws;
  options.batch = std::max<std::int64_t>(1, 4096 / config_.model.context);
  options.seed = config_.training.seed ^ kEvaluationSeed;
  options.start_token = config_.training.start_token;
  const auto windows = evaluation_windows(static_cast<std::int64_t>(tokens.size()));
  const auto estimate = transformer_.causal() ? exact_likelihood : nelbo_likelihood;
  const Likelihood likelihood = estimate(network_, tokens, windows, excluded_, options);
  return {likelihood.nats_per_token, likelihood.accuracy};
}

double Trainer::epoch() const {
  return static_cast<double>(tokens_seen_) / static_cast<double>(splits_.train.size());
}

bool Trainer::note_val(double loss) {
  if (!(loss < best_loss_)) return false;
  best_loss_ = loss;
  return true;
}

}  // namespace masque
