#include "bench/step_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "apps/common.h"
#include "bench/report.h"
#include "bench/workload.h"
#include "core/profile.h"
#include "kernels/philox.h"
#include "models/trainer.h"

namespace masque::bench {
namespace {

// The first step finds out how much memory is needed, the second is the first to touch it.
constexpr std::int64_t kWarmup = 3;

struct StepOptions {
  ModelOptions model;
  std::int64_t steps = 20;
  std::int64_t burst = 1;
  std::int64_t vocab = 0;
  bool json = false, profile = false;
  CommonOptions common;
};

// A training and what its steps took.
struct TimedTraining {
  TimedTraining(const RunConfig& run_config, const Tokenizer& tokenizer, const Splits& splits,
                const Device& device)
      : config(run_config), trainer(config, tokenizer, splits, device) {}

  RunConfig config;
  Trainer trainer;
  std::vector<double> seconds;  // a step of each burst; warm-up first
  std::vector<OpTime> profile;  // of all steps but the warm-up
  double first_step = 0;        // seconds by the wall, memory and algorithms found
};

struct Row {
  RunConfig config;
  Spread seconds;
  double tokens = 0, flops = 0;  // a step
  double first_step = 0;         // seconds
  std::int64_t parameters = 0;
  std::size_t activation_bytes = 0;
  std::size_t launches = 0;     // a step; 0 on the CPU
  std::vector<OpTime> profile;  // of a step; of a GPU: nothing

  double token_rate() const { return tokens / seconds.median; }
  double flop_rate() const { return flops / seconds.median; }
};

RunConfig training_config(const StepOptions& options, ObjectiveKind objective,
                          std::int64_t vocab_size) {
  RunConfig config = configured(options.model, objective, vocab_size);
  if (options.common.seed) config.training.seed = *options.common.seed;
  config.training.steps = (kWarmup + options.steps) * options.burst;
  return resolve(config);
}

double tokens_a_step(const RunConfig& config) {
  return static_cast<double>(config.training.batch * config.training.accumulation *
                             config.model.context);
}

// Forward and backward, a token: 6 a parameter that takes part in a product (Kaplan et al. 2020,
// arXiv:2001.08361), and 12·width a layer for each position that a token attends to, which are half
// as many where it sees only what is before it. Lookups, norms and elementwise work are left out.
double flops_a_token(const Transformer& transformer) {
  const ModelConfig& model = transformer.config();
  std::int64_t in_products = 0;
  for (const Parameter& parameter : transformer.parameters().parameters()) {
    const bool looked_up =
        parameter.name == "wpe.weight" || (parameter.name == "wte.weight" && !model.tied);
    if (parameter.matrix && !looked_up) in_products += parameter.shape.count();
  }
  const std::int64_t attention = 12 * model.layers * model.width * model.context;
  return static_cast<double>(6 * in_products) +
         static_cast<double>(attention) / (transformer.causal() ? 2 : 1);
}

Row row_of(TimedTraining& training, std::int64_t burst) {
  const Transformer& transformer = training.trainer.transformer();
  Row row;
  row.config = training.config;
  row.seconds = spread_of({training.seconds.begin() + kWarmup, training.seconds.end()});
  row.tokens = tokens_a_step(training.config);
  row.flops = row.tokens * flops_a_token(transformer);
  row.parameters = transformer.parameters().count();
  row.activation_bytes = training.trainer.activation_bytes();
  row.first_step = training.first_step;
  const auto micro_steps = static_cast<std::size_t>(training.config.training.accumulation);
  row.launches =
      micro_steps * training.trainer.micro_step_launches() + training.trainer.update_launches();
  row.profile = training.profile;
  const auto steps = static_cast<std::int64_t>(training.seconds.size() - kWarmup) * burst;
  for (OpTime& time : row.profile) {
    time.seconds /= static_cast<double>(steps);
    time.calls /= steps;
  }
  return row;
}

std::string utf8_of(char32_t character) {  // below U+10000
  const auto byte = [](char32_t bits) { return static_cast<char>(bits); };
  return {byte(0xe0 | character >> 12), byte(0x80 | (character >> 6 & 0x3f)),
          byte(0x80 | (character & 0x3f))};
}

Text uniform_text(std::int64_t vocab) {
  constexpr char32_t kFirst = 0x1000, kEnd = 0x10000;        // three bytes each
  constexpr char32_t kSurrogates = 0xd800, kAfter = 0xe000;  // no characters
  constexpr std::int64_t kMost = Tokenizer::kSpecials + (kSurrogates - kFirst) + (kEnd - kAfter);
  if (vocab <= Tokenizer::kSpecials || vocab > kMost) {
    throw InputError(fmt::format("--vocab {}: must be {} to {}, of which {} are special tokens",
                                 vocab, Tokenizer::kSpecials + 1, kMost, Tokenizer::kSpecials));
  }
  std::string characters;
  char32_t next = kFirst;
  for (std::int64_t id = Tokenizer::kSpecials; id < vocab; ++id, ++next) {
    if (next == kSurrogates) next = kAfter;
    characters += utf8_of(next);
  }
  Text text{Tokenizer::from_text(characters), {}};
  for (std::uint32_t index = 0; index < kCharacters; ++index) {
    const double u = uniform(philox(1, {index, 0, 0, 0})[0]);
    text.tokens.push_back(static_cast<std::int32_t>(
        Tokenizer::kSpecials + u * static_cast<double>(vocab - Tokenizer::kSpecials)));
  }
  return text;
}

void time_burst(TimedTraining& training, Timer& timer, std::int64_t burst) {
  const Progress wall(1);
  if (training.seconds.empty()) {
    training.trainer.step();
    training.trainer.metrics();  // waits
    training.first_step = wall.seconds();
    --burst;
  }
  const bool counts = training.seconds.size() >= kWarmup;
  profile_into(counts && !on_gpu(training.trainer.transformer().device()) ? &training.profile
                                                                          : nullptr);
  timer.start();
  for (std::int64_t step = 0; step < burst; ++step) training.trainer.step();
  timer.stop();
  profile_into(nullptr);
  training.seconds.push_back(timer.seconds() /
                             static_cast<double>(std::max<std::int64_t>(burst, 1)));
}

struct Timed {
  std::vector<Row> rows;
  std::size_t memory_bytes = 0;  // of the GPU, all trainings together; 0 on the CPU
  std::size_t peak_bytes = 0;    // of the process, all trainings together
};

// Burst by burst, each objective in turn, so that what disturbs the machine disturbs both.
Timed time_steps(const StepOptions& options, const Device& device) {
  const std::size_t free_before = free_bytes(device);
  const Text text = options.vocab != 0 ? uniform_text(options.vocab) : synthetic_text();
  Splits splits;
  splits.train = text.tokens;
  std::deque<TimedTraining> trainings;
  for (const ObjectiveKind objective : objectives(options.model.objective)) {
    trainings.emplace_back(training_config(options, objective, text.tokenizer.vocab_size()),
                           text.tokenizer, splits, device);
  }
  const std::unique_ptr<Timer> timer = make_timer(device);
  const std::int64_t rounds = kWarmup + options.steps;
  Progress progress(rounds);
  for (std::int64_t round = 0; round < rounds; ++round) {
    for (TimedTraining& training : trainings) time_burst(training, *timer, options.burst);
    progress.update(round + 1, fmt::format("steps of {}", options.model.preset));
  }
  Timed timed;
  timed.memory_bytes = free_before - free_bytes(device);
  timed.peak_bytes = peak_bytes();
  for (TimedTraining& training : trainings) timed.rows.push_back(row_of(training, options.burst));
  return timed;
}

void print(const Timed& timed, const Ceilings& ceilings) {
  fmt::print("{:<9}  {:>11}  {:>9}  {:>7}  {:>10}  {:>8}  {:>10}  {:>11}\n", "objective",
             "parameters", "median ms", "IQR ms", "tokens/s", "GFLOP/s", "of product",
             "activations");
  for (const Row& row : timed.rows) {
    fmt::print("{:<9}  {:>11}  {:>9.2f}  {:>7.2f}  {:>10}  {:>8.1f}  {:>10}  {:>11}\n",
               name_of(row.config.model.objective), grouped(row.parameters),
               1e3 * row.seconds.median, 1e3 * row.seconds.range(),
               grouped(static_cast<std::int64_t>(row.token_rate())), row.flop_rate() / 1e9,
               percent(row.flop_rate() / ceilings.product), mebibytes(row.activation_bytes));
  }
  fmt::print("\npeak memory of the process{}: {}\n", timed.rows.size() > 1 ? ", of both" : "",
             mebibytes(timed.peak_bytes));
  fmt::print(
      "GFLOP/s count products: 6 · parameters in them · tokens, and attention's 12 · layers · "
      "width · context\na token, half of it for ar.\n");
}

// The ops of a step, the longest first, and what is left between them.
void print_profile(const Row& row) {
  std::vector<OpTime> ops = row.profile;
  std::sort(ops.begin(), ops.end(),
            [](const OpTime& a, const OpTime& b) { return a.seconds > b.seconds; });
  fmt::print("\n{:<9}  {:<20}  {:<8}  {:>5}  {:>9}  {:>5}\n", name_of(row.config.model.objective),
             "op", "pass", "calls", "ms a step", "share");
  double total = 0;
  for (const OpTime& op : ops) total += op.seconds;
  for (const OpTime& op : ops) {
    fmt::print("{:<9}  {:<20}  {:<8}  {:>5}  {:>9.2f}  {:>5}\n", "", op.op,
               op.pass == Pass::forward ? "forward" : "backward", op.calls, 1e3 * op.seconds,
               percent(op.seconds / total));
  }
}

void print_json(const Timed& timed, const Ceilings& ceilings, const Device& device,
                const StepOptions& options) {
  nlohmann::ordered_json json = report("step", device, ceilings);
  json["preset"] = options.model.preset;
  json["set"] = options.model.sets;
  json["steps"] = options.steps;
  json["burst"] = options.burst;
  if (timed.memory_bytes > 0) json["memory_bytes"] = timed.memory_bytes;
  json["peak_bytes"] = timed.peak_bytes;
  for (const Row& row : timed.rows) {
    json["results"].push_back({{"objective", name_of(row.config.model.objective)},
                               {"config", to_json(row.config)},
                               {"parameters", row.parameters},
                               {"tokens", row.tokens},
                               {"flops", row.flops},
                               {"median_ms", 1e3 * row.seconds.median},
                               {"first_quartile_ms", 1e3 * row.seconds.first_quartile},
                               {"third_quartile_ms", 1e3 * row.seconds.third_quartile},
                               {"tokens_per_second", row.token_rate()},
                               {"gflop_s", row.flop_rate() / 1e9},
                               {"of_product", row.flop_rate() / ceilings.product},
                               {"activation_bytes", row.activation_bytes},
                               {"first_step_ms", 1e3 * row.first_step},
                               {"launches", row.launches}});
    for (const OpTime& op : row.profile) {
      json["results"].back()["profile"].push_back(
          {{"op", op.op},
           {"pass", op.pass == Pass::forward ? "forward" : "backward"},
           {"calls", op.calls},
           {"ms", 1e3 * op.seconds}});
    }
  }
  fmt::print("{}\n", json.dump());
}

void run(const StepOptions& options) {
  if (options.steps < 1) {
    throw InputError(fmt::format("--steps {}: must be at least 1", options.steps));
  }
  if (options.burst < 1) {
    throw InputError(fmt::format("--burst {}: must be at least 1", options.burst));
  }
  const Device device = apply(options.common);
  if (options.profile && on_gpu(device)) {
    throw InputError(
        "--profile times ops by the wall, which a GPU is behind: use nsys, or --device cpu");
  }
  const Timed timed = time_steps(options, device);
  const Ceilings ceilings = measure_ceilings(device);
  if (options.json) return print_json(timed, ceilings, device, options);
  const std::string each = timed.rows.size() > 1 ? " each, in turn" : "";
  print_head(device, ceilings,
             options.burst == 1
                 ? fmt::format("preset {}, {} steps{}", options.model.preset, options.steps, each)
                 : fmt::format("preset {}, {} times {} steps{}", options.model.preset,
                               options.steps, options.burst, each));
  print(timed, ceilings);
  if (!options.profile) return;
  for (const Row& row : timed.rows) print_profile(row);
}

}  // namespace

void add_step_command(CLI::App& app) {
  auto options = std::make_shared<StepOptions>();
  CLI::App* command = app.add_subcommand("step", "Time whole training steps on synthetic text");
  command->footer("Example:\n  masque-bench step --preset quick --objective both --set batch=16");
  add_model_options(*command, options->model);
  command->add_option("--steps", options->steps, "Steps to time")->capture_default_str();
  command
      ->add_option("--burst", options->burst,
                   "Steps from one reading of the clock to the next: on a GPU the host runs ahead, "
                   "as in training")
      ->capture_default_str();
  command->add_option("--vocab", options->vocab,
                      "Vocabulary of uniformly drawn characters; default: the synthetic text's");
  add_common_options(*command, options->common);
  command->add_flag("--profile", options->profile, "Also the time of each op (on the CPU)");
  command->add_flag("--json", options->json, "One JSON object on stdout");
  command->callback([options] { run(*options); });
}

}  // namespace masque::bench
