#include "apps/train.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/common.h"
#include "apps/flags.h"
#include "apps/hints.h"
#include "apps/memory_forecast.h"
#include "apps/own_text.h"
#include "apps/presets.h"
#include "apps/step_time.h"
#include "apps/training_run.h"
#include "core/check.h"
#include "core/out_of_memory.h"
#include "models/dataset.h"
#include "models/generate_text.h"
#include "models/memory_plan.h"
#include "models/run.h"
#include "models/trainer.h"

namespace masque {
namespace {

struct TrainOptions {
  std::string run, objective, data, preset;
  std::optional<std::string> steps, tokenizer;
  std::vector<std::string> sets;
  bool resume = false, dry_run = false;
  CommonOptions common;
};

constexpr const char* kFooter =
    "Examples:\n"
    "  masque train runs/llada --objective llada --data tinyshakespeare.txt --preset quick\n"
    "  masque train runs/ar --objective ar --data tinyshakespeare.txt --preset quick --set "
    "lr=2e-3\n"
    "  masque train runs/notes --objective llada --data notes/ --tokenizer byte --preset tiny\n"
    "  masque train runs/llada --resume --steps 3200\n"
    "Ctrl-C saves and ends; kill -USR1 PID saves and goes on.";
// From so many characters on, bytes may serve better.
constexpr std::size_t kManyCharacters = 5000;

RunConfig configured(const TrainOptions& options) {
  RunConfig config =
      preset(options.preset.empty() ? "quick" : options.preset, objective_from(options.objective));
  for (const std::string& assignment : options.sets) set_key(config, assignment);
  if (options.steps) set_key(config, "steps=" + *options.steps);
  if (options.tokenizer) set_key(config, "tokenizer=" + *options.tokenizer);
  if (options.common.seed) config.training.seed = *options.common.seed;
  return resolve(config);
}

// The configuration of a run to go on with; only its length may change.
RunConfig resumed(const TrainOptions& options, const RunFolder& folder) {
  if (!options.objective.empty() || !options.preset.empty() || !options.sets.empty() ||
      options.tokenizer || options.common.seed) {
    throw InputError(
        "--resume: takes objective, tokenizer, preset, keys and seed from the run; leave out "
        "--objective, --tokenizer, --preset, --set and --seed (--steps may be given, to go on for "
        "longer)");
  }
  RunConfig config = load_config(folder);
  if (options.steps) set_key(config, "steps=" + *options.steps);
  return resolve(config);
}

void describe_run(const RunConfig& config, Trainer& trainer, const MemoryForecast& memory) {
  const TrainingConfig& training = config.training;
  const ModelConfig& model = config.model;
  const std::int64_t tokens = training.batch * training.accumulation * model.context;
  const auto& parameters = trainer.transformer().parameters();
  fmt::print(stderr,
             "{} {}: {} parameters, {} layers, {} heads, width {}, context {}, vocabulary {}\n",
             config.data.file, name_of(model.objective), grouped(parameters.count()), model.layers,
             model.heads, model.width, model.context, model.vocab_size);
  fmt::print(stderr, "{} steps of {} tokens, {:.1f} epochs; {}; {}\n", grouped(training.steps),
             grouped(tokens),
             static_cast<double>(training.steps * tokens) /
                 static_cast<double>(trainer.sequences_per_epoch() * model.context),
             describe(parameters.device()), describe(memory));
  for (const std::string& hint : hints(config)) fmt::print(stderr, "hint: {}\n", hint);
}

// The same, but that an evaluation is one forward, as large as the run's.
RunConfig briefly_evaluated(RunConfig config) {
  TrainingConfig& training = config.training;
  const std::int64_t draws =
      config.model.objective == ObjectiveKind::llada ? training.eval_draws : 1;
  const std::int64_t windows = (evaluation_batch(config.model) + draws - 1) / draws;
  training.eval_windows =
      training.eval_windows > 0 ? std::min(training.eval_windows, windows) : windows;
  return config;
}

// A few steps, an evaluation and a sample in memory: what a run would be, take and need. Writes
// nothing.
void dry_run(const RunConfig& config, const Tokenizer& tokenizer, Trainer& trainer) {
  const std::int64_t steps = config.training.steps;
  const double seconds = seconds_per_step(trainer);
  trainer.evaluate("train");
  if (config.training.ema > 0) trainer.evaluate("train", Trainer::Weights::averaged);
  generate_text(trainer.network(), tokenizer, config);
  const MemoryForecast memory =
      forecast_memory(config, trainer.transformer().device(), ForecastAt::evaluated);
  describe_run(config, trainer, memory);
  fmt::print(stderr, "a step takes {:.3f} s, {} tokens/s: about {} with evaluations\n", seconds,
             grouped(static_cast<std::int64_t>(
                 static_cast<double>(config.training.batch * config.training.accumulation *
                                     config.model.context) /
                 seconds)),
             duration(run_seconds(config, steps, seconds)));
  fmt::print(stderr, "{}", to_table(memory));
  nlohmann::ordered_json json = to_json(config);
  json["dry_run"] = {{"seconds_per_step", seconds}, {"memory", to_json(memory)}};
  fmt::print("{}\n", json.dump(2));
}

// What a run learns from. Fills in what config.json says of it.
struct TrainingText {
  Tokenizer tokenizer;
  Splits splits;
};

TrainingText read_training_text(const TrainOptions& options, const RunFolder& folder,
                                RunConfig& config) {
  const std::filesystem::path path =
      find_data(options.data.empty() ? config.data.file : options.data);
  if (!options.resume) require_outside(options.run, path);
  std::error_code status;
  const std::uintmax_t bytes = std::filesystem::file_size(path, status);  // of a folder unknown
  auto [tokenizer, tokens] = taking_memory(
      fmt::format("the text {} and its tokens", path.string()),
      9 * static_cast<std::size_t>(status ? 0 : bytes), "give a shorter text", [&] {
        const std::string text = read_data(path, config.training.tokenizer).text;
        Tokenizer made = options.resume ? Tokenizer::load(folder.tokenizer())
                                        : Tokenizer::make(config.training.tokenizer, text);
        std::vector<std::int32_t> encoded = made.encode(text);
        return std::pair(std::move(made), std::move(encoded));
      });
  const auto count = static_cast<std::int64_t>(tokens.size());
  if (options.resume && count != config.data.tokens) {
    throw InputError(
        fmt::format("{} has {} {}s, but the run was trained on {}: give --data the "
                    "same text",
                    path.string(), count, tokenizer.unit(), config.data.tokens));
  }
  if (!options.resume) config.data.file = std::filesystem::absolute(path).string();
  config.data.tokens = count;
  config.model.vocab_size = tokenizer.vocab_size();
  return {std::move(tokenizer), split_tokens(std::move(tokens), config.training)};
}

// Says what a user may not have meant.
void warn_of_text(const Tokenizer& tokenizer) {
  const std::size_t characters = tokenizer.symbols().size();
  if (characters >= kManyCharacters) {
    fmt::print(
        stderr,
        "note: {} different characters, most of them rare; --tokenizer byte has 256 tokens\n",
        grouped(static_cast<std::int64_t>(characters)));
  }
}

int train(const TrainOptions& options) {
  const RunFolder folder(options.run);
  const Device device = apply(options.common);
  if (options.resume) folder.require();
  const RunLock lock = options.resume && !options.dry_run ? folder.lock() : RunLock();
  if (!options.resume && options.objective.empty()) {
    throw InputError("--objective is missing: give llada or ar");
  }
  RunConfig config = options.resume ? resumed(options, folder) : configured(options);
  if (options.data.empty() && !options.resume) {
    throw InputError("--data is missing: give a text file or a folder, or see masque data --help");
  }
  TrainingText text = read_training_text(options, folder, config);
  const MemoryForecast memory = forecast_memory(config, device, ForecastAt::before);
  require_memory(memory);
  Trainer trainer(options.dry_run ? briefly_evaluated(config) : config, text.tokenizer,
                  std::move(text.splits), device);
  if (!options.resume) warn_of_text(text.tokenizer);
  if (options.dry_run) {
    dry_run(config, text.tokenizer, trainer);
    return 0;
  }
  if (options.resume) {
    const WholeCheckpoint last = folder.whole_checkpoint("last", Scope::everything);
    if (!last.note.empty()) fmt::print(stderr, "{}\n", last.note);
    trainer.load(last.folder);
    if (trainer.steps_done() >= config.training.steps) {
      throw InputError(fmt::format("{}: its {} steps are done; give --steps N to go on for longer",
                                   options.run, trainer.steps_done()));
    }
  }
  TrainingRun run(folder, config, std::move(text.tokenizer), trainer, device);
  if (options.resume) {
    run.reopen();
  } else {
    run.create();
  }
  describe_run(config, trainer, memory);
  return run.go();
}

}  // namespace

void add_train_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<TrainOptions>();
  CLI::App* command = app.add_subcommand("train", "Train a model into a run folder");
  command->footer(kFooter);
  command->add_option("RUN", options->run, "The run's folder: new, or with --resume an old one")
      ->type_name(kRun)
      ->required();
  takes_one_of(
      command->add_option("--objective", options->objective, "Masked diffusion, or autoregressive"),
      {"llada", "ar"});
  command->add_option("--data", options->data, kDataHelp)->type_name(kFile);
  takes_one_of(command->add_option("--tokenizer", options->tokenizer,
                                   "A token a character, of UTF-8 (default), or a token a byte, of "
                                   "anything; the same as --set tokenizer=…"),
               {"char", "byte"});
  takes_one_of(command->add_option("--preset", options->preset, "Sizes and rates (default quick)"),
               preset_names());
  command->add_option("--steps", options->steps, "Updates; the same as --set steps=N")
      ->type_name("INT");
  command->add_option("--set", options->sets, "key=value, any key of config.json")
      ->expected(1, -1)
      ->type_name(kKeyValue);
  command->add_flag("--resume", options->resume, "Go on from the run's last checkpoint");
  command->add_flag("--dry-run", options->dry_run,
                    "A few steps, an evaluation and a sample in memory: print configuration, time "
                    "and memory; write "
                    "nothing");
  add_common_options(*command, options->common);
  command->callback([options, &exit_code] { exit_code = train(*options); });
}

}  // namespace masque
