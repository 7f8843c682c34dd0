#include "bench/step_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "apps/common.h"
#include "apps/presets.h"
#include "bench/report.h"
#include "models/source.h"
#include "models/trainer.h"

namespace masque::bench {
namespace {

// The first step finds out how much memory is needed, the second is the first to touch it.
constexpr std::int64_t kWarmup = 3;
constexpr std::int64_t kCharacters = 200'000;

struct StepOptions {
  std::string preset = "quick", objective = "both";
  std::vector<std::string> sets;
  std::int64_t steps = 20;
  bool json = false;
  CommonOptions common;
};

// A training and what its steps took.
struct TimedTraining {
  TimedTraining(const RunConfig& run_config, const Tokenizer& tokenizer, const Splits& splits,
                const Device& device)
      : config(run_config), trainer(config, tokenizer, splits, device) {}

  RunConfig config;
  Trainer trainer;
  std::vector<double> seconds;  // warm-up first
};

struct Row {
  std::string objective;
  Spread seconds;
  double tokens = 0, flops = 0;  // a step
  std::int64_t parameters = 0;
  std::size_t activation_bytes = 0;

  double token_rate() const { return tokens / seconds.median; }
  double flop_rate() const { return flops / seconds.median; }
};

std::vector<ObjectiveKind> objectives(const std::string& name) {
  if (name == "both") return {ObjectiveKind::llada, ObjectiveKind::ar};
  if (name == "llada" || name == "ar") return {objective_from(name)};
  throw InputError(fmt::format("--objective {}: must be llada, ar or both", name));
}

RunConfig configured(const StepOptions& options, ObjectiveKind objective, std::int64_t vocab_size) {
  RunConfig config = preset(options.preset, objective);
  for (const std::string& assignment : options.sets) set_key(config, assignment);
  if (options.common.seed) config.training.seed = *options.common.seed;
  config.training.steps = kWarmup + options.steps;
  config.model.vocab_size = vocab_size;
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

Row row_of(TimedTraining& training) {
  const Transformer& transformer = training.trainer.transformer();
  Row row;
  row.objective = name_of(training.config.model.objective);
  row.seconds = spread_of({training.seconds.begin() + kWarmup, training.seconds.end()});
  row.tokens = tokens_a_step(training.config);
  row.flops = row.tokens * flops_a_token(transformer);
  row.parameters = transformer.parameters().count();
  row.activation_bytes = training.trainer.activation_bytes();
  return row;
}

// Step by step, each objective in turn, so that what disturbs the machine disturbs both.
std::vector<Row> time_steps(const StepOptions& options, const Device& device) {
  const Source source;
  const Tokenizer tokenizer = source.tokenizer();
  Splits splits;
  splits.train = tokenizer.encode(source.generate(kCharacters, 1));
  std::deque<TimedTraining> trainings;
  for (const ObjectiveKind objective : objectives(options.objective)) {
    trainings.emplace_back(configured(options, objective, tokenizer.vocab_size()), tokenizer,
                           splits, device);
  }
  const std::unique_ptr<Timer> timer = make_timer(device);
  const std::int64_t rounds = kWarmup + options.steps;
  Progress progress(rounds);
  for (std::int64_t round = 0; round < rounds; ++round) {
    for (TimedTraining& training : trainings) {
      timer->start();
      training.trainer.step();
      timer->stop();
      training.seconds.push_back(timer->seconds());
    }
    progress.update(round + 1, fmt::format("steps of {}", options.preset));
  }
  std::vector<Row> rows;
  for (TimedTraining& training : trainings) rows.push_back(row_of(training));
  return rows;
}

void print(const std::vector<Row>& rows, const Ceilings& ceilings) {
  fmt::print("{:<9}  {:>11}  {:>9}  {:>7}  {:>10}  {:>8}  {:>10}  {:>11}\n", "objective",
             "parameters", "median ms", "IQR ms", "tokens/s", "GFLOP/s", "of product",
             "activations");
  for (const Row& row : rows) {
    const double mebibytes = static_cast<double>(row.activation_bytes) / (1 << 20);
    fmt::print("{:<9}  {:>11}  {:>9.2f}  {:>7.2f}  {:>10}  {:>8.1f}  {:>10}  {:>11}\n",
               row.objective, grouped(row.parameters), 1e3 * row.seconds.median,
               1e3 * row.seconds.range(), grouped(static_cast<std::int64_t>(row.token_rate())),
               row.flop_rate() / 1e9, percent(row.flop_rate() / ceilings.product),
               fmt::format("{:.0f} MiB", mebibytes));
  }
  fmt::print(
      "\nGFLOP/s count products: 6 · parameters in them · tokens, and attention's 12 · layers · "
      "width · context\na token, half of it for ar.\n");
}

void print_json(const std::vector<Row>& rows, const Ceilings& ceilings, const Device& device,
                const StepOptions& options) {
  nlohmann::ordered_json json = report("step", device, ceilings);
  json["preset"] = options.preset;
  json["set"] = options.sets;
  json["steps"] = options.steps;
  for (const Row& row : rows) {
    json["results"].push_back({{"objective", row.objective},
                               {"parameters", row.parameters},
                               {"tokens", row.tokens},
                               {"flops", row.flops},
                               {"median_ms", 1e3 * row.seconds.median},
                               {"first_quartile_ms", 1e3 * row.seconds.first_quartile},
                               {"third_quartile_ms", 1e3 * row.seconds.third_quartile},
                               {"tokens_per_second", row.token_rate()},
                               {"gflop_s", row.flop_rate() / 1e9},
                               {"of_product", row.flop_rate() / ceilings.product},
                               {"activation_bytes", row.activation_bytes}});
  }
  fmt::print("{}\n", json.dump());
}

void run(const StepOptions& options) {
  if (options.steps < 1) {
    throw InputError(fmt::format("--steps {}: must be at least 1", options.steps));
  }
  const Device device = apply(options.common);
  const std::vector<Row> rows = time_steps(options, device);
  const Ceilings ceilings = measure_ceilings(device);
  if (options.json) return print_json(rows, ceilings, device, options);
  print_head(device, ceilings,
             fmt::format("preset {}, {} steps{}", options.preset, options.steps,
                         rows.size() > 1 ? " each, in turn" : ""));
  print(rows, ceilings);
}

}  // namespace

void add_step_command(CLI::App& app) {
  auto options = std::make_shared<StepOptions>();
  CLI::App* command = app.add_subcommand("step", "Time whole training steps on synthetic text");
  command->footer("Example:\n  masque-bench step --preset quick --objective both --set batch=16");
  command
      ->add_option("--preset", options->preset, fmt::format("{}", fmt::join(preset_names(), ", ")))
      ->capture_default_str();
  command->add_option("--objective", options->objective, "llada, ar or both")
      ->capture_default_str();
  command->add_option("--set", options->sets, "key=value, any key of config.json")
      ->expected(1, -1)
      ->type_name("KEY=VALUE");
  command->add_option("--steps", options->steps, "Steps to time")->capture_default_str();
  add_common_options(*command, options->common);
  command->add_flag("--json", options->json, "One JSON object on stdout");
  command->callback([options] { run(*options); });
}

}  // namespace masque::bench
