#include "apps/train.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/common.h"
#include "apps/hints.h"
#include "apps/presets.h"
#include "apps/step_time.h"
#include "apps/training_run.h"
#include "core/check.h"
#include "models/dataset.h"
#include "models/run.h"
#include "models/trainer.h"

namespace masque {
namespace {

struct TrainOptions {
  std::string run, objective, data, preset;
  std::optional<std::string> steps;
  std::vector<std::string> sets;
  bool resume = false, dry_run = false;
  CommonOptions common;
};

constexpr const char* kFooter =
    "Examples:\n"
    "  masque train runs/llada --objective llada --data tinyshakespeare.txt --preset quick\n"
    "  masque train runs/ar --objective ar --data tinyshakespeare.txt --preset quick --set "
    "lr=2e-3\n"
    "  masque train runs/llada --resume --steps 3200\n"
    "Ctrl-C saves and ends; kill -USR1 PID saves and goes on.";

RunConfig configured(const TrainOptions& options) {
  RunConfig config =
      preset(options.preset.empty() ? "quick" : options.preset, objective_from(options.objective));
  for (const std::string& assignment : options.sets) set_key(config, assignment);
  if (options.steps) set_key(config, "steps=" + *options.steps);
  if (options.common.seed) config.training.seed = *options.common.seed;
  return resolve(config);
}

// The configuration of a run to go on with; only its length may change.
RunConfig resumed(const TrainOptions& options, const RunFolder& folder) {
  if (!options.objective.empty() || !options.preset.empty() || !options.sets.empty() ||
      options.common.seed) {
    throw InputError(
        "--resume: takes objective, preset, keys and seed from the run; leave out --objective, "
        "--preset, --set and --seed (--steps may be given, to go on for longer)");
  }
  RunConfig config = load_config(folder);
  if (options.steps) set_key(config, "steps=" + *options.steps);
  return resolve(config);
}

void describe_run(const RunConfig& config, Trainer& trainer) {
  const TrainingConfig& training = config.training;
  const ModelConfig& model = config.model;
  const std::int64_t tokens = training.batch * training.accumulation * model.context;
  const auto& parameters = trainer.transformer().parameters();
  const std::int64_t moments = config.training.ema > 0 ? 5 : 4;
  const double state_bytes = static_cast<double>(parameters.arena_count() * moments) *
                             static_cast<double>(size_of(param_dtype(parameters.device())));
  fmt::print(stderr,
             "{} {}: {} parameters, {} layers, {} heads, width {}, context {}, vocabulary {}\n",
             config.data.file, name_of(model.objective), grouped(parameters.count()), model.layers,
             model.heads, model.width, model.context, model.vocab_size);
  fmt::print(stderr,
             "{} steps of {} tokens, {:.1f} epochs; {}; {:.0f} MiB of parameters, gradients and "
             "moments\n",
             grouped(training.steps), grouped(tokens),
             static_cast<double>(training.steps * tokens) /
                 static_cast<double>(trainer.sequences_per_epoch() * model.context),
             describe(parameters.device()), state_bytes / (1 << 20));
  for (const std::string& hint : hints(config)) fmt::print(stderr, "hint: {}\n", hint);
}

// A few steps in memory: what a run would be, take and need. Writes nothing.
void dry_run(const RunConfig& config, Trainer& trainer) {
  describe_run(config, trainer);
  const double seconds = seconds_per_step(trainer);
  fmt::print(
      stderr,
      "activations {:.0f} MiB; a step takes {:.3f} s, {} tokens/s: about {} with evaluations\n",
      static_cast<double>(trainer.activation_bytes()) / (1 << 20), seconds,
      grouped(static_cast<std::int64_t>(
          static_cast<double>(config.training.batch * config.training.accumulation *
                              config.model.context) /
          seconds)),
      duration(run_seconds(config, config.training.steps, seconds)));
  fmt::print("{}\n", to_json(config).dump(2));
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
    throw InputError("--data is missing: give a text file, or see masque data --help");
  }

  const std::string file = options.data.empty() ? config.data.file : options.data;
  const std::filesystem::path path = find_data(file);
  const std::string text = read_text(path);
  Tokenizer tokenizer =
      options.resume ? Tokenizer::load(folder.tokenizer()) : Tokenizer::from_text(text);
  const std::vector<std::int32_t> tokens = tokenizer.encode(text);
  const auto characters = static_cast<std::int64_t>(tokens.size());
  if (options.resume && characters != config.data.characters) {
    throw InputError(
        fmt::format("--data {}: has {} characters, but the run was trained on {}; "
                    "give the same file",
                    path.string(), characters, config.data.characters));
  }
  config.data = {options.resume ? config.data.file : std::filesystem::absolute(path).string(),
                 characters};
  config.model.vocab_size = tokenizer.vocab_size();

  Trainer trainer(config, tokenizer, split_tokens(tokens, config.training), device);
  if (options.dry_run) {
    dry_run(config, trainer);
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
  TrainingRun run(folder, config, std::move(tokenizer), trainer, device);
  if (options.resume) {
    run.reopen();
  } else {
    run.create();
  }
  describe_run(config, trainer);
  return run.go();
}

}  // namespace

void add_train_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<TrainOptions>();
  CLI::App* command = app.add_subcommand("train", "Train a model into a run folder");
  command->footer(kFooter);
  command->add_option("RUN", options->run, "The run's folder: new, or with --resume an old one")
      ->required();
  command->add_option("--objective", options->objective, "llada or ar");
  command->add_option("--data", options->data,
                      "Text file: as given, or in $MASQUE_DATA_DIR, ./data, ../shared/data");
  command->add_option("--preset", options->preset,
                      fmt::format("{} (default quick)", fmt::join(preset_names(), ", ")));
  command->add_option("--steps", options->steps, "Updates; the same as --set steps=N");
  command->add_option("--set", options->sets, "key=value, any key of config.json")
      ->expected(1, -1)
      ->type_name("KEY=VALUE");
  command->add_flag("--resume", options->resume, "Go on from the run's last checkpoint");
  command->add_flag("--dry-run", options->dry_run,
                    "A few steps in memory: print configuration, time and memory; write nothing");
  add_common_options(*command, options->common);
  command->callback([options, &exit_code] { exit_code = train(*options); });
}

}  // namespace masque
