#include "apps/quality.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "apps/common.h"
#include "apps/flags.h"
#include "apps/own_text.h"
#include "apps/quality_rows.h"
#include "apps/quality_table.h"
#include "apps/weights.h"

namespace masque {
namespace {

constexpr const char* kFooter =
    "Examples:\n"
    "  masque quality runs/llada runs/ar --data tinyshakespeare.txt --judge runs/ar-2\n"
    "  masque quality runs/llada --judge runs/ar --strategies ancestral --steps 8,16,32,64 --json\n"
    "  masque quality runs/llada --data synth.txt --source --oracle --steps 1,4,16,64";
constexpr std::int64_t kLengthWithoutRuns = 64;  // the default

struct QualityCommand {
  std::vector<std::string> runs, strategies = {"ancestral", "low_confidence"};
  std::vector<std::int64_t> steps;
  std::string data, judge;
  WeightsChoice weights;  // of the runs; the judge is as it was trained
  std::int64_t n = 64;
  std::optional<std::int64_t> length;
  double temperature = 1;
  bool source = false, oracle = false, json = false;
  CommonOptions common;
};

void check(const QualityCommand& command) {
  if (command.n < 2) {
    throw InputError(fmt::format("--n {}: give at least 2, a set to compare", command.n));
  }
  for (const std::int64_t steps : command.steps) {
    if (steps < 1) throw InputError(fmt::format("--steps {}: give at least 1", steps));
  }
  for (const std::string& strategy : command.strategies) make_strategy(strategy);
  if (command.oracle && !command.source) {
    throw InputError("--oracle: it has the conditionals of a known source; give --source too");
  }
  if (command.runs.empty() && !command.oracle) {
    throw InputError("no RUN: name the runs to measure");
  }
  if (command.runs.empty() && command.data.empty()) {
    throw InputError("no RUN and no --data: name the text that the source wrote");
  }
  if (command.judge.empty()) return;
  RunFolder(command.judge).require();
  for (const std::string& run : command.runs) {
    RunFolder(run).require();
    if (std::filesystem::equivalent(run, command.judge)) {
      throw InputError(fmt::format(
          "--judge {}: it is one of the runs that it would judge; give an ar run of another seed",
          command.judge));
    }
  }
}

void check_other(const RunConfig& run, const RunConfig& judge, const std::string& name) {
  if (trained_alike(run, judge)) {
    throw InputError(
        fmt::format("--judge {}: it has the model and the seed ({}) of a run that it would judge; "
                    "give an ar run of another seed",
                    name, judge.training.seed));
  }
}

// All runs of a table, which must have learned the same splits of the same text.
struct Runs {
  std::vector<Run> measured;
  std::optional<Run> judge;

  std::vector<const Run*> all() const {
    std::vector<const Run*> runs;
    for (const Run& run : measured) runs.push_back(&run);
    if (judge) runs.push_back(&*judge);
    return runs;
  }
};

Runs load_runs(const QualityCommand& command, const Device& device) {
  Runs runs;
  for (const std::string& name : command.runs) {
    runs.measured.push_back(load_run(name, command.weights, device));
  }
  if (!command.judge.empty()) {
    runs.judge = load_run(command.judge, "best", device);
    for (const Run& run : runs.measured) {
      check_other(run.config, runs.judge->config, command.judge);
    }
  }
  return runs;
}

struct QualityText {
  Tokenizer tokenizer;
  Splits splits;
  std::string file;
  bool val_halved = false;  // no test split: val's second half is `test`
};

QualityText read_text_of(const QualityCommand& command, const Runs& runs) {
  const std::vector<const Run*> all = runs.all();
  const std::filesystem::path file =
      find_data(command.data.empty() ? all.front()->config.data.file : command.data);
  const TrainingConfig training = all.empty() ? TrainingConfig{} : all.front()->config.training;
  const std::string text = read_data(file, training.tokenizer).text;
  const Tokenizer tokenizer =
      all.empty() ? Tokenizer::from_text(text) : Tokenizer(all.front()->tokenizer);
  if (command.source && tokenizer.bytes()) {
    throw InputError(fmt::format(
        "--source: it writes characters, and {} reads bytes; leave it out, or train runs of "
        "tokenizer=char",
        all.front()->folder.path().string()));
  }
  for (const Run* run : all) {
    const std::string name = run->folder.path().string();
    if (!(run->tokenizer == tokenizer)) {
      throw InputError(fmt::format("{} has another tokenizer than {}: compare runs of one text",
                                   name, all.front()->folder.path().string()));
    }
    if (run->config.training.train_fraction != training.train_fraction ||
        run->config.training.val_fraction != training.val_fraction) {
      throw InputError(fmt::format(
          "{} has other splits than {} (train_fraction, val_fraction): compare runs of one split",
          name, all.front()->folder.path().string()));
    }
  }
  std::vector<std::int32_t> tokens = tokenizer.encode(text);
  for (const Run* run : all) {
    if (run->config.data.tokens == static_cast<std::int64_t>(tokens.size())) continue;
    throw InputError(fmt::format(
        "{} has {} {}s and the text of {} has {}: give --data the text of the runs", file.string(),
        tokens.size(), tokenizer.unit(), run->folder.path().string(), run->config.data.tokens));
  }
  Splits splits = split_tokens(std::move(tokens), training.train_fraction, training.val_fraction);
  const bool val_halved = !all.empty() && splits.test.empty();
  if (val_halved) {
    const auto half = splits.val.begin() + static_cast<std::ptrdiff_t>(splits.val.size() / 2);
    splits.test.assign(half, splits.val.end());
    splits.val.erase(half, splits.val.end());
    fmt::print(stderr,
               "note: {} has no test split (train_fraction {:g}, val_fraction {:g}): of its val, "
               "the first half is \"val\" here and the second \"test\"\n",
               all.front()->folder.path().string(), training.train_fraction, training.val_fraction);
  }
  return {tokenizer, std::move(splits), file.string(), val_halved};
}

std::int64_t choose_length(const QualityCommand& command, const Runs& runs) {
  const std::vector<const Run*> all = runs.all();
  if (all.empty()) {
    const std::int64_t length = command.length.value_or(kLengthWithoutRuns);
    if (length < 1) throw InputError(fmt::format("--length {}: give at least 1", length));
    return length;
  }
  std::int64_t context = INT64_MAX;
  for (const Run* run : all) context = std::min(context, run->config.model.context);
  const std::int64_t length = command.length.value_or(context);
  if (length < 1 || length > context) {
    throw InputError(
        fmt::format("--length {}: give 1 to {}, the shortest context of the runs and the judge",
                    length, context));
  }
  for (const Run& run : runs.measured) {
    if (run.config.model.objective == ObjectiveKind::llada && length < run.config.model.context) {
      fmt::print(stderr,
                 "note: {} was trained on {} {}s at once, and texts of {} are out of its "
                 "training's distribution\n",
                 run.folder.path().string(), run.config.model.context, run.tokenizer.unit(),
                 length);
    }
  }
  return length;
}

std::vector<QualityRow> measure(const QualityCommand& command, Runs& runs, const Source& source,
                                const QualityText& text, std::int64_t length, std::uint64_t seed) {
  const auto grid = static_cast<std::int64_t>(command.strategies.size() *
                                              std::max<std::size_t>(1, command.steps.size()));
  std::int64_t sets = command.oracle ? grid : 0;
  for (const Run& run : runs.measured) {
    sets += run.config.model.objective == ObjectiveKind::llada ? grid : 1;
  }
  Progress progress(sets * command.n);
  std::int64_t done = 0;
  QualityMeasure::Options options;
  options.count = command.n;
  options.length = length;
  options.judge = runs.judge ? &*runs.judge : nullptr;
  options.source = command.source ? &source : nullptr;
  options.progress = [&](std::int64_t texts) { progress.update(done += texts, "texts"); };
  const QualityMeasure quality(text.tokenizer, text.splits, options);

  std::vector<QualityRow> rows = quality.real_rows();
  const auto add = [&](QualityRow row) {
    if (!progress.on_terminal()) {
      progress.line(fmt::format("{}, {} texts at {:.0f} tokens/s, ETA {}", label(row), command.n,
                                row.tokens_per_second.value_or(0), progress.eta(done)));
    }
    rows.push_back(std::move(row));
  };
  SampleOptions sample;
  sample.draw.temperature = command.temperature;
  sample.draw.seed = seed;
  const auto for_each_setting = [&](const auto& make) {
    for (const std::string& strategy : command.strategies) {
      sample.strategy = strategy;
      for (const std::int64_t steps :
           command.steps.empty() ? std::vector<std::int64_t>{length} : command.steps) {
        sample.steps = steps;
        add(make());
      }
    }
  };
  if (command.oracle) for_each_setting([&] { return quality.oracle_row(sample); });
  for (Run& run : runs.measured) {
    if (run.config.model.objective == ObjectiveKind::llada) {
      for_each_setting([&] { return quality.row(run, sample); });
    } else {
      add(quality.row(run, sample));
    }
  }
  return rows;
}

void run_quality(const QualityCommand& command) {
  check(command);
  const std::uint64_t seed = command.common.seed.value_or(kDefaultSeed);
  Runs runs = load_runs(command, apply(command.common));
  const QualityText text = read_text_of(command, runs);
  const std::int64_t length = choose_length(command, runs);
  const Source source;
  const std::vector<QualityRow> rows = measure(command, runs, source, text, length, seed);
  if (!command.json) {
    print_quality(rows, command.judge);
    return;
  }
  nlohmann::ordered_json json = {
      {"data", text.file},
      {"judge",
       command.judge.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(command.judge)},
      {"ema", command.weights.ema},
      {"val_halved", text.val_halved},
      {"kneser_ney_order", +KneserNey::kOrderForCharacters},
      {"seed", seed},
      {"rows", nlohmann::ordered_json::array()}};
  for (const QualityRow& row : rows) json["rows"].push_back(to_json(row));
  fmt::print("{}\n", json.dump());
}

}  // namespace

void add_quality_command(CLI::App& app) {
  auto options = std::make_shared<QualityCommand>();
  CLI::App* command = app.add_subcommand("quality", "How good the texts of runs are");
  command->footer(kFooter);
  command->add_option("RUN", options->runs, "Runs to measure")->type_name(kRun);
  command
      ->add_option("--data", options->data,
                   fmt::format("{} (default: the first run's own)", kDataHelp))
      ->type_name(kFile);
  command
      ->add_option("--judge", options->judge,
                   "An ar run of another seed; without it only the n-gram model judges")
      ->type_name(kRun);
  command->add_option("--n", options->n, "Texts a row")->capture_default_str();
  command->add_option("--length", options->length,
                      "Tokens of each (default: the shortest context)");
  takes_one_of(command->add_option("--strategies", options->strategies,
                                   "llada, by commas: which blanks a step writes"),
               strategy_names())
      ->delimiter(',')
      ->allow_extra_args(false)  // what follows is a RUN
      ->capture_default_str();
  command
      ->add_option("--steps", options->steps, "llada, by commas: steps (default: one token a step)")
      ->delimiter(',')
      ->allow_extra_args(false);  // what follows is a RUN
  command->add_option("--temperature", options->temperature, "0: the most probable token")
      ->capture_default_str();
  add_weights_options(*command, options->weights);
  command->add_flag("--source", options->source,
                    "The source of masque data synth judges too; for text that it wrote");
  command->add_flag("--oracle", options->oracle,
                    "Rows of samplers that have the source's exact conditionals for a model");
  command->add_flag("--json", options->json, "One JSON object on stdout");
  add_common_options(*command, options->common);
  command->callback([options] { run_quality(*options); });
}

}  // namespace masque
