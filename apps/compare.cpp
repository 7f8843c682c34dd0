#include "apps/compare.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "apps/common.h"
#include "apps/compare/comparison.h"
#include "apps/flags.h"
#include "apps/own_text.h"
#include "apps/presets.h"
#include "apps/report/report.h"
#include "core/check.h"
#include "models/files.h"

namespace masque {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFooter =
    "Examples:\n"
    "  masque compare out --data tinyshakespeare.txt --budget 15m\n"
    "  masque compare out --data tinyshakespeare.txt --preset small --seeds 1,2,3 --trials 4\n"
    "  masque compare out --data tinyshakespeare.txt --runs runs/llada runs/ar --judge runs/ar2\n"
    "  masque compare study --study --data tinyshakespeare.txt --epochs 1,4,16\n"
    "Interrupted, the same command goes on where it was; masque compare out alone does too.";

constexpr double kYear = 366 * 24 * 3600.0;  // in seconds

struct CompareOptions {
  std::string out, data, preset, budget, judge;
  std::vector<std::uint64_t> seeds;
  std::optional<std::int64_t> trials;
  std::string tokenizer;
  std::vector<std::string> sets, runs, without;
  bool study = false;
  std::vector<double> fractions;
  std::vector<std::int64_t> epochs;
  CommonOptions common;

  // Nothing is asked for but the folder.
  bool bare() const {
    return data.empty() && preset.empty() && budget.empty() && judge.empty() && seeds.empty() &&
           !trials && tokenizer.empty() && sets.empty() && runs.empty() && without.empty() &&
           !study && fractions.empty() && epochs.empty();
  }
};

// "90s", "15m", "2h", "1h30m" → seconds.
double parse_duration(const std::string& text) {
  double seconds = 0;
  const char *at = text.data(), *const end = at + text.size();
  while (at != end) {
    double number = 0;
    const auto parsed = std::from_chars(at, end, number);
    const std::size_t unit =
        parsed.ptr == end ? std::string::npos : std::string_view("smh").find(*parsed.ptr);
    if (parsed.ec != std::errc() || unit == std::string::npos || !(number >= 0)) {
      seconds = 0;
      break;
    }
    seconds += number * std::pow(60, static_cast<double>(unit));
    at = parsed.ptr + 1;
  }
  if (!(seconds > 0) || !std::isfinite(seconds)) {
    throw InputError(fmt::format("--budget {}: give a time such as 90s, 15m, 2h or 1h30m", text));
  }
  if (seconds > kYear) throw InputError(fmt::format("--budget {}: give at most a year", text));
  return seconds;
}

// A word as a shell reads it whole.
std::string as_word(const std::string& word) {
  constexpr const char* kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./,=:+-";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string result = "'";
  for (const char character : word) {
    result += character == '\'' ? std::string("'\\''") : std::string(1, character);
  }
  return result + "'";
}

std::vector<std::string> as_words(std::vector<std::string> words) {
  for (std::string& word : words) word = as_word(word);
  return words;
}

// What was typed, as it can be typed again.
std::string command_line(const CompareOptions& options) {
  std::string line = fmt::format("masque compare {}", as_word(options.out));
  const auto add = [&](const char* flag, const std::string& value) {
    if (!value.empty()) line += fmt::format(" {} {}", flag, value);
  };
  if (options.study) line += " --study";
  add("--data", options.data.empty() ? "" : as_word(options.data));
  add("--tokenizer", options.tokenizer);
  add("--preset", options.preset);
  add("--seeds", fmt::format("{}", fmt::join(options.seeds, ",")));
  add("--budget", options.budget);
  if (options.trials) add("--trials", std::to_string(*options.trials));
  add("--set", fmt::format("{}", fmt::join(as_words(options.sets), " ")));
  add("--runs", fmt::format("{}", fmt::join(as_words(options.runs), " ")));
  add("--judge", options.judge.empty() ? "" : as_word(options.judge));
  add("--without", fmt::format("{}", fmt::join(options.without, ",")));
  add("--fractions", fmt::format("{}", fmt::join(options.fractions, ",")));
  add("--epochs", fmt::format("{}", fmt::join(options.epochs, ",")));
  return line;
}

Plan new_plan(const CompareOptions& options, const Device& device) {
  if (options.data.empty()) {
    throw InputError("--data is missing: give a text file or a folder, or see masque data --help");
  }
  if (!options.runs.empty() &&
      (!options.preset.empty() || !options.tokenizer.empty() || !options.sets.empty() ||
       !options.seeds.empty() || options.trials)) {
    throw InputError(
        "--runs: are trained already; leave out --preset, --tokenizer, --set, --seeds and "
        "--trials");
  }
  if (options.runs.empty() && !options.judge.empty()) {
    throw InputError(fmt::format("--judge {}: a judge is trained too; give one with --runs only",
                                 options.judge));
  }
  if (options.study && (!options.runs.empty() || options.trials || !options.without.empty())) {
    throw InputError("--study: trains a grid of its own; leave out --runs, --trials and --without");
  }
  if (!options.study && !(options.fractions.empty() && options.epochs.empty())) {
    throw InputError("--fractions and --epochs: are of the grid of --study; add it");
  }
  PlanRequest request;
  request.command = command_line(options);
  request.data = options.data;
  require_outside(options.out, find_data(options.data));
  request.preset = options.preset;
  request.set = options.sets;
  if (!options.tokenizer.empty()) request.set.push_back("tokenizer=" + options.tokenizer);
  request.study = options.study;
  if (options.study) request.seeds = {1};
  if (!options.seeds.empty()) request.seeds = options.seeds;
  if (!options.fractions.empty()) request.fractions = options.fractions;
  if (!options.epochs.empty()) request.epochs = options.epochs;
  if (!options.budget.empty()) request.budget_seconds = parse_duration(options.budget);
  request.trials = options.trials.value_or(0);
  request.runs = options.runs;
  request.judge = options.judge;
  request.without = options.without;
  return make_plan(request, device);
}

// The plan in OUT, or a new one.
Plan settle_plan(const CompareOptions& options, const Device& device) {
  const fs::path file = fs::path(options.out) / "plan.json";
  if (fs::exists(file)) {
    Plan plan = read_plan(file);
    if (!options.bare() && command_line(options) != plan.command) {
      throw InputError(
          fmt::format("{} holds another comparison, \"{}\": go on with it by masque compare {}, or "
                      "name another folder",
                      options.out, plan.command, as_word(options.out)));
    }
    return plan;
  }
  std::error_code status;
  if (fs::exists(options.out, status) && !fs::is_empty(options.out, status)) {
    throw InputError(fmt::format(
        "{} exists, is not empty and holds no comparison: name another folder", options.out));
  }
  Plan plan = new_plan(options, device);
  fs::create_directories(options.out, status);
  if (status) {
    throw InputError(
        fmt::format("cannot make the folder {}: {}: name another", options.out, status.message()));
  }
  write_file(file, to_json(plan).dump(1) + "\n");
  return plan;
}

void describe(const Plan& plan) {
  std::int64_t trained = 0, steps = 0;
  for (const PlannedRun& run : plan.runs) {
    if (run.given) continue;
    ++trained;
    steps = std::max(steps, run.steps);
  }
  if (trained > 0) {
    fmt::print(stderr, "preset {}, {} runs of up to {} steps, seeds {}\n", plan.preset, trained,
               grouped(steps), fmt::join(plan.seeds, ", "));
  }
  for (const std::string& left_out : plan.left_out) {
    fmt::print(stderr, "left out: {}\n", left_out);
  }
}

int compare(const CompareOptions& options) {
  const Device device = apply(options.common);
  const Plan plan = settle_plan(options, device);
  Comparison comparison(options.out, plan, device);
  describe(plan);
  const int code = comparison.go();
  report_folder(options.out);
  if (code != 0) {
    fmt::print(stderr, "interrupted; go on with: masque compare {}\n", as_word(options.out));
  }
  return code;
}

}  // namespace

void add_compare_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<CompareOptions>();
  CLI::App* command = app.add_subcommand(
      "compare", "Train LLaDA and AR alike, evaluate and sample both, and report");
  command->footer(kFooter);
  command->add_option("OUT", options->out, "Folder of the comparison: new, or to go on with")
      ->type_name(kFolder)
      ->required();
  command->add_option("--data", options->data, kDataHelp)->type_name(kFile);
  takes_one_of(command->add_option("--tokenizer", options->tokenizer,
                                   "As of masque train; the same as --set tokenizer=…"),
               {"char", "byte"});
  takes_one_of(command->add_option("--preset", options->preset,
                                   "Sizes and rates (default quick; with --budget the largest that "
                                   "fits; with --study tiny)"),
               preset_names());
  command
      ->add_option("--seeds", options->seeds,
                   "Paired runs of each objective (default 1,2,3; with --study 1)")
      ->delimiter(',');
  command
      ->add_option("--budget", options->budget,
                   "Time in all, such as 15m or 2h: sets steps, windows and draws")
      ->type_name("TIME");
  command->add_option("--trials", options->trials,
                      "Settings tried for each objective before the headline (default 0)");
  command->add_option("--set", options->sets, "key=value, for every run")
      ->expected(1, -1)
      ->type_name(kKeyValue);
  command->add_option("--runs", options->runs, "Compare these trained runs instead")
      ->type_name(kRun)
      ->expected(1, -1);
  command->add_option("--judge", options->judge, "With --runs: an ar run that is not compared")
      ->type_name(kRun);
  takes_one_of(command->add_option("--without", options->without, "Leave out, by commas"),
               part_names())
      ->delimiter(',');
  command->add_flag("--study", options->study,
                    "Instead the data-constrained study: AR, AR regularised, AR with masked inputs "
                    "and LLaDA on parts of the text, for many epochs");
  command
      ->add_option("--fractions", options->fractions,
                   "With --study: of the train split (default 0.1,1)")
      ->delimiter(',');
  command->add_option("--epochs", options->epochs, "With --study (default 1,4,16,64)")
      ->delimiter(',');
  add_device_options(*command, options->common);
  command->callback([options, &exit_code] { exit_code = compare(*options); });
}

}  // namespace masque
