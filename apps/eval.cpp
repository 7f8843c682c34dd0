#include "apps/eval.h"

#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <numbers>
#include <optional>
#include <string>

#include "apps/common.h"
#include "models/dataset.h"
#include "models/likelihood.h"
#include "models/ngram.h"
#include "models/run.h"

namespace masque {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFooter =
    "Examples:\n"
    "  masque eval runs/llada --data tinyshakespeare.txt\n"
    "  masque eval runs/llada --data tinyshakespeare.txt --split val --windows 100 --draws 128\n"
    "  masque eval runs/ar --data another.txt --split all --json";
constexpr std::uint64_t kDefaultSeed = 1;
constexpr double kSecondsPerLine = 10;  // of progress, off a terminal

struct EvalOptions {
  std::string run, data, split = "test", checkpoint = "best";
  std::optional<std::string> estimator;
  std::optional<std::int64_t> draws;
  std::int64_t batch = 32, windows = 0;
  bool json = false;
  CommonOptions common;
};

// What is evaluated, and what else of the text the baselines count.
struct EvalText {
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> train;  // empty where the text is not the run's own
};

EvalText read_split(const EvalOptions& options, const RunConfig& config,
                    const Tokenizer& tokenizer) {
  const std::string& split = options.split;
  if (split != "train" && split != "val" && split != "test" && split != "all") {
    throw InputError(fmt::format("unknown split '{}': choose train, val, test or all", split));
  }
  const std::filesystem::path file =
      find_data(options.data.empty() ? config.data.file : options.data);
  const std::vector<std::int32_t> tokens = tokenizer.encode(read_text(file));
  const bool own = static_cast<std::int64_t>(tokens.size()) == config.data.characters;
  if (!own && split != "all") {
    throw InputError(fmt::format(
        "{} has {} characters and the run's own text {}: its {} split is another; give --split all",
        file.string(), tokens.size(), config.data.characters, split));
  }
  Splits splits =
      split_tokens(tokens, config.training.train_fraction, config.training.val_fraction);
  EvalText text;
  if (own) text.train = splits.train;
  if (split == "train") text.tokens = std::move(splits.train);
  if (split == "val") text.tokens = std::move(splits.val);
  if (split == "test") text.tokens = std::move(splits.test);
  if (split == "all") text.tokens = tokens;
  if (text.tokens.empty()) {
    throw InputError(
        fmt::format("the {} split is empty (train_fraction {}, val_fraction {}): choose another",
                    split, config.training.train_fraction, config.training.val_fraction));
  }
  return text;
}

// The estimator asked for, which must suit the run's objective.
std::string choose_estimator(const EvalOptions& options, ObjectiveKind objective) {
  const std::string fitting = objective == ObjectiveKind::ar ? "exact" : "nelbo";
  const std::string estimator = options.estimator.value_or(fitting);
  if (estimator != "exact" && estimator != "nelbo") {
    throw InputError(fmt::format("unknown estimator '{}': choose exact or nelbo", estimator));
  }
  if (estimator != fitting) {
    throw InputError(fmt::format("estimator {} does not suit {}, whose objective is {}: choose {}",
                                 estimator, options.run, name_of(objective), fitting));
  }
  if (estimator == "exact" && options.draws) {
    throw InputError(fmt::format("--draws {}: exact draws nothing; leave it out", *options.draws));
  }
  return estimator;
}

// A bar on a terminal; elsewhere a line now and then.
std::function<void(std::int64_t, std::int64_t)> reporter(Progress& progress) {
  return [&progress, printed = 0.0](std::int64_t done, std::int64_t total) mutable {
    progress.update(done, "windows");
    if (progress.on_terminal() || progress.seconds() - printed < kSecondsPerLine) return;
    printed = progress.seconds();
    progress.line(fmt::format("{}/{} windows, ETA {}", done, total, progress.eta(done)));
  };
}

struct Report {
  std::string run, objective, estimator, split, checkpoint;
  Likelihood likelihood;
  std::optional<double> unigram, bigram;  // nats a token
  std::int64_t window_length = 0, draws = 0;
  std::uint64_t seed = 0;
  double seconds = 0;

  bool exact() const { return estimator == "exact"; }
};

// JSON has no NaN: null where the interval is unknown.
Json ends(const Interval& interval) {
  if (std::isnan(interval.lo)) return {nullptr, nullptr};
  return {interval.lo, interval.hi};
}

Json to_json(const Report& report) {
  const Likelihood& likelihood = report.likelihood;
  return {{"objective", report.objective},
          {"estimator", report.estimator},
          {"order", report.exact() ? Json("l2r") : Json()},
          {"bound", report.exact() ? "exact" : "upper"},
          {"nats_per_token", likelihood.nats_per_token},
          {"ci95", ends(likelihood.ci95)},
          {"ci95_text", ends(likelihood.ci95_text)},
          {"bits_per_char", likelihood.nats_per_token / std::numbers::ln2},
          {"perplexity", std::exp(likelihood.nats_per_token)},
          {"accuracy", likelihood.accuracy},
          {"tokens", likelihood.tokens},
          {"windows", likelihood.window_nats.size()},
          {"window_length", report.window_length},
          {"draws", report.draws},
          {"split", report.split},
          {"checkpoint", report.checkpoint},
          {"seed", report.seed},
          {"seconds", report.seconds},
          {"unigram", report.unigram ? Json(*report.unigram) : Json()},
          {"bigram", report.bigram ? Json(*report.bigram) : Json()}};
}

std::string range(const Interval& interval) {
  if (std::isnan(interval.lo)) return "unknown from one window";
  return fmt::format("{:.4f} to {:.4f}", interval.lo, interval.hi);
}

void print(const Report& report) {
  const Likelihood& likelihood = report.likelihood;
  const double nats = likelihood.nats_per_token;
  const char* bound = report.exact() ? " " : "≤";
  const auto row = [](const char* name, const std::string& value) {
    fmt::print("  {:<16}{}\n", name, value);
  };
  fmt::print("{}  {} {}, {}, {} split\n", report.run, report.objective, report.estimator,
             report.checkpoint, report.split);
  row("nats per token", fmt::format("{} {:.4f}", bound, nats));
  if (!report.exact()) row("  estimate", "  " + range(likelihood.ci95) + "  (95%, these masks)");
  row("  text", "  " + range(likelihood.ci95_text) + "  (95%, another text of the kind)");
  row("bits per char", fmt::format("{} {:.4f}", bound, nats / std::numbers::ln2));
  row("perplexity", fmt::format("{} {:.3f}", bound, std::exp(nats)));
  row("accuracy",
      fmt::format("  {:.1f}% of {}", 100 * likelihood.accuracy,
                  report.exact() ? "next tokens" : "masked tokens, 1 to all of a window"));
  if (report.unigram) row("unigram", fmt::format("  {:.4f} nats", *report.unigram));
  if (report.bigram) row("bigram", fmt::format("  {:.4f} nats", *report.bigram));
  std::string scored = fmt::format("  {} tokens in {} windows of {}", grouped(likelihood.tokens),
                                   likelihood.window_nats.size(), report.window_length);
  if (!report.exact()) scored += fmt::format(", {} draws each", report.draws);
  row("scored", scored + fmt::format(", in {:.1f} s", report.seconds));
}

void evaluate(const EvalOptions& options) {
  if (options.batch < 1) {
    throw InputError(fmt::format("--batch {}: give at least 1", options.batch));
  }
  if (options.windows < 0) {
    throw InputError(fmt::format("--windows {}: give 0 (all) or more", options.windows));
  }
  const Device device = apply(options.common);
  const RunConfig config = load_config(RunFolder(options.run));
  Report report;
  report.estimator = choose_estimator(options, config.model.objective);
  const Run run = load_run(options.run, options.checkpoint, device);
  const EvalText text = read_split(options, config, run.tokenizer);

  LikelihoodOptions how;
  how.batch = options.batch;
  how.seed = options.common.seed.value_or(kDefaultSeed);
  how.draws = options.draws.value_or(how.draws);
  how.start_token = config.training.start_token;
  const auto count = static_cast<std::int64_t>(text.tokens.size());
  const bool context_first = report.exact() && !how.start_token;
  const std::vector<Window> windows =
      subset(context_first ? cover_with_context(count, config.model.context)
                           : cover(count, config.model.context),
             options.windows);
  const std::vector<std::uint8_t> excluded = run.tokenizer.excluded();

  {
    Progress progress(static_cast<std::int64_t>(windows.size()));
    how.progress = reporter(progress);
    const auto estimate = report.exact() ? exact_likelihood : nelbo_likelihood;
    report.likelihood = estimate(*run.network, text.tokens, windows, excluded, how);
    report.seconds = progress.seconds();
  }
  if (!text.train.empty()) {
    report.unigram = unigram_nats(text.train, text.tokens, windows, excluded);
    report.bigram = bigram_nats(text.train, text.tokens, windows, excluded);
  }
  report.run = options.run;
  report.objective = name_of(config.model.objective);
  report.split = options.split;
  report.checkpoint = run.checkpoint;
  report.window_length = config.model.context;
  report.draws = report.exact() ? 0 : how.draws;
  report.seed = how.seed;
  if (options.json) {
    fmt::print("{}\n", to_json(report).dump());
  } else {
    print(report);
  }
}

}  // namespace

void add_eval_command(CLI::App& app) {
  auto options = std::make_shared<EvalOptions>();
  CLI::App* command = app.add_subcommand("eval", "Likelihood of a text under a run's model");
  command->footer(kFooter);
  command->add_option("RUN", options->run, "The run's folder")->required();
  command->add_option("--data", options->data,
                      "Text file: as given, or in $MASQUE_DATA_DIR, ./data, ../shared/data "
                      "(default: the run's own)");
  command->add_option("--split", options->split, "train, val, test, or all of the file")
      ->capture_default_str();
  command->add_option("--checkpoint", options->checkpoint, "best, last or a step")
      ->capture_default_str();
  command->add_option("--estimator", options->estimator,
                      "exact (ar) or nelbo (llada; an upper bound); default: as the run is");
  command->add_option("--draws", options->draws,
                      "Masked copies of each window for nelbo, an even number (default 32)");
  command->add_option("--windows", options->windows, "Evaluate this many, spread evenly; 0: all")
      ->capture_default_str();
  command->add_option("--batch", options->batch, "Sequences a forward")->capture_default_str();
  command->add_flag("--json", options->json, "One JSON object on stdout");
  add_common_options(*command, options->common);
  command->callback([options] { evaluate(*options); });
}

}  // namespace masque
