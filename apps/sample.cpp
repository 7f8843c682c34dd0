#include "apps/sample.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "apps/common.h"
#include "apps/flags.h"
#include "apps/sample_watch.h"
#include "models/device_sampler.h"
#include "models/run.h"

namespace masque {
namespace {

using Json = nlohmann::ordered_json;
using Ids = std::vector<std::int32_t>;

constexpr const char* kFooter =
    "Examples:\n"
    "  masque sample runs/llada --prompt \"ROMEO:\" --steps 64 --strategy ancestral --watch\n"
    "  masque sample runs/llada --strategy threshold --threshold 0.8 --block-length 32\n"
    "  masque sample runs/llada --prompt \"ROMEO:\" --strategy remask --steps 400 --cfg 0.5\n"
    "  masque sample runs/llada --template \"To be, or ______, that is the question\" --n 3\n"
    "  masque sample runs/ar --prompt \"ROMEO:\" --temperature 0.8 --length 100 --json";
constexpr std::uint64_t kDefaultSeed = 1;

struct SampleCommand {
  std::string run, prompt, text_template, checkpoint = "best";
  std::optional<std::string> strategy;
  std::optional<std::int64_t> length, steps, block_length;
  std::optional<double> threshold, remask_share, cfg;
  std::int64_t n = 1;
  DrawOptions draw;
  bool watch = false, json = false;
  CommonOptions common;
};

std::string strategy_of(const SampleCommand& command) {
  return command.strategy.value_or(SampleOptions().strategy);
}

StrategyOptions strategy_options(const SampleCommand& command) {
  StrategyOptions options;
  options.threshold = command.threshold.value_or(options.threshold);
  options.remask_share = command.remask_share.value_or(options.remask_share);
  return options;
}

// Those given that say how masks are filled.
std::vector<std::string> flags_of_llada(const SampleCommand& command) {
  std::vector<std::string> flags;
  if (command.strategy) flags.emplace_back("--strategy");
  if (command.steps) flags.emplace_back("--steps");
  if (command.block_length) flags.emplace_back("--block-length");
  if (command.threshold) flags.emplace_back("--threshold");
  if (command.remask_share) flags.emplace_back("--remask-share");
  if (command.cfg) flags.emplace_back("--cfg");
  return flags;
}

void require_at_least_one(const char* flag, std::int64_t value) {
  if (value < 1) throw InputError(fmt::format("{} {}: give at least 1", flag, value));
}

// What can be refused before the run is read.
void check(const SampleCommand& command) {
  require_at_least_one("--n", command.n);
  require_at_least_one("--steps", command.steps.value_or(1));
  require_at_least_one("--block-length", command.block_length.value_or(1));
  const std::string strategy = strategy_of(command);
  make_strategy(strategy, strategy_options(command));
  const auto only_with = [&](const char* flag, std::optional<double> value, const char* name) {
    if (!value || strategy == name) return;
    throw InputError(fmt::format("{} {} is of another strategy than {}: give --strategy {} with it",
                                 flag, *value, strategy, name));
  };
  only_with("--threshold", command.threshold, "threshold");
  only_with("--remask-share", command.remask_share, "remask");
}

// What every sample begins as: (T) given ids, [MASK] where text is wanted.
struct Canvas {
  Ids ids;
  std::int64_t given = 0;

  std::int64_t length() const { return static_cast<std::int64_t>(ids.size()); }
  std::int64_t wanted() const { return length() - given; }
};

Canvas make_canvas(const SampleCommand& command, const Run& run) {
  const bool fill = !command.text_template.empty();
  const char* name = fill ? "template" : "prompt";
  Canvas canvas;
  const char* const unit = run.tokenizer.unit();
  canvas.ids = fill ? run.tokenizer.encode(command.text_template, kBlank)
                    : run.tokenizer.encode(command.prompt);
  const std::int64_t context = run.config.model.context, given = canvas.length();
  if (given > context) {
    throw InputError(
        fmt::format("the {} has {} {}s and the model's context is {}: shorten it by {}", name,
                    given, unit, context, given - context));
  }
  const std::int64_t length = command.length.value_or(fill ? given : context);
  if (length < 1 || length > context) {
    throw InputError(
        fmt::format("--length {}: give 1 to {}, the model's context", length, context));
  }
  if (length < given) {
    throw InputError(fmt::format("--length {}: the {} alone has {} {}s; give at least that", length,
                                 name, given, unit));
  }
  canvas.ids.resize(static_cast<std::size_t>(length), Tokenizer::kMask);
  canvas.given = length - std::count(canvas.ids.begin(), canvas.ids.end(), Tokenizer::kMask);
  return canvas;
}

// Shows the steps where --watch asks for it; else a bar of them, on a GPU none, which would wait
// for each step.
class Display {
 public:
  Display(const SampleCommand& command, const Run& run, std::int64_t steps) : progress_(steps) {
    if (command.watch) {
      watch_.emplace(run.tokenizer, command.n, steps);
      see_ = [this](const StepReport& report) { watch_->show(report); };
    } else if (!on_gpu(run.transformer->device())) {
      see_ = [this](const StepReport&) { progress_.update(++step_, "steps"); };
    }
  }
  const Watch& watch() const { return see_; }

 private:
  Progress progress_;
  std::optional<SampleWatch> watch_;
  std::int64_t step_ = 0;
  Watch see_;
};

// What is written, and how that is named in JSON.
struct Samples {
  SampleResult result;  // ids (n,T), without [START]
  std::string strategy;
  std::int64_t steps = 0;
};

Samples sample_masked(const SampleCommand& command, Run& run, const Canvas& canvas) {
  if (canvas.length() < run.config.model.context) {
    fmt::print(stderr,
               "note: {} {}s are fewer than the {} that the model was trained on; it may write "
               "worse\n",
               canvas.length(), run.tokenizer.unit(), run.config.model.context);
  }
  SampleOptions options;
  options.draw = command.draw;
  options.strategy = strategy_of(command);
  options.of_strategy = strategy_options(command);
  options.steps = command.steps.value_or(0);
  options.block_length = command.block_length.value_or(0);
  options.guidance = command.cfg.value_or(0);
  Samples samples;
  samples.strategy = options.strategy;
  samples.steps = command.steps.value_or(canvas.wanted());
  Ids sequences;
  for (std::int64_t i = 0; i < command.n; ++i) {
    sequences.insert(sequences.end(), canvas.ids.begin(), canvas.ids.end());
  }
  const Display display(command, run, samples.steps);
  samples.result = generate_llada(*run.network, std::move(sequences), canvas.length(),
                                  run.tokenizer.excluded(), options, display.watch());
  return samples;
}

// [START] and the prompt; without [START] the prompt, or a line break as nanoGPT begins with.
Ids first_ids(const Canvas& canvas, const Run& run) {
  Ids ids(canvas.ids.begin(), canvas.ids.begin() + canvas.given);
  if (run.config.training.start_token) {
    ids.insert(ids.begin(), Tokenizer::kStart);
  } else if (ids.empty()) {
    const auto line_break = run.tokenizer.line_break();
    if (!line_break) {
      throw InputError(
          "the run has no [START] and its text no line break to begin from: "
          "give a --prompt");
    }
    ids = {*line_break};
  }
  return ids;
}

Samples sample_causal(const SampleCommand& command, Run& run, const Canvas& canvas) {
  const std::vector<std::string> flags = flags_of_llada(command);
  if (!flags.empty()) {
    throw InputError(
        fmt::format("{} is autoregressive and writes one token a step, left to right: leave out {}",
                    command.run, fmt::join(flags, ", ")));
  }
  const Ids prompt = first_ids(canvas, run);
  const std::size_t unwritten = run.config.training.start_token ? 1 : 0;
  const std::int64_t length = canvas.length() + static_cast<std::int64_t>(unwritten) -
                              static_cast<std::int64_t>(prompt.size());
  Samples samples;
  samples.strategy = "autoregressive";
  samples.steps = length;
  {
    const Display display(command, run, length);
    samples.result = generate_ar(*run.network, command.n, prompt, length, run.tokenizer.excluded(),
                                 command.draw, display.watch());
  }
  std::erase(samples.result.ids, Tokenizer::kStart);
  return samples;
}

// The settings of a generation, null where they are of another strategy or model.
Json settings(const SampleCommand& command, const Samples& samples, bool causal) {
  const StrategyOptions options = strategy_options(command);
  const auto where = [](bool used, auto value) { return used ? Json(value) : Json(nullptr); };
  return {
      {"strategy", samples.strategy},
      {"steps", samples.steps},
      {"seed", command.draw.seed},
      {"temperature", command.draw.temperature},
      {"top_k", command.draw.top_k},
      {"top_p", command.draw.top_p},
      {"block_length", where(command.block_length.has_value(), command.block_length.value_or(0))},
      {"threshold", where(samples.strategy == "threshold", options.threshold)},
      {"remask_share", where(samples.strategy == "remask", options.remask_share)},
      {"cfg", where(!causal, command.cfg.value_or(0))}};
}

void print(const SampleCommand& command, const Run& run, const Canvas& canvas,
           const Samples& samples) {
  const SampleResult& result = samples.result;
  const auto wanted = static_cast<double>(canvas.wanted());
  const double rate = wanted * static_cast<double>(command.n) / result.seconds;
  Json list = Json::array();
  double forwards = 0;  // of all sequences
  for (std::int64_t i = 0; i < command.n; ++i) {
    const auto T = static_cast<std::size_t>(canvas.length());
    const auto ids = std::span(result.ids).subspan(static_cast<std::size_t>(i) * T, T);
    const std::string text = run.tokenizer.decode(ids);
    const std::int64_t own = result.sequence_forwards[static_cast<std::size_t>(i)];
    forwards += static_cast<double>(own);
    if (command.json) {
      list.push_back({{"text", text},
                      {"ids", Ids(ids.begin(), ids.end())},
                      {"forwards", own},
                      {"tokens_per_forward", own > 0 ? wanted / static_cast<double>(own) : 0.0},
                      {"seconds", result.seconds},
                      {"tokens_per_second", rate}});
    } else {
      fmt::print("{}{}\n", i == 0 ? "" : fmt::format("{}\n", kRule), text);
    }
  }
  if (command.json) {
    Json json = {{"samples", list}};
    json.update(settings(command, samples, run.config.model.objective == ObjectiveKind::ar));
    fmt::print("{}\n", json.dump());
    return;
  }
  fmt::print(stderr, "{}, {} steps, {:.0f} forwards a sample in {:.2f} s, {:.0f} tokens/s\n",
             samples.strategy, samples.steps, forwards / static_cast<double>(command.n),
             result.seconds, rate);
}

void sample(SampleCommand command) {
  check(command);
  command.draw.seed = command.common.seed.value_or(kDefaultSeed);
  const Device device = apply(command.common);
  Run run = load_run(command.run, command.checkpoint, device);
  const bool causal = run.config.model.objective == ObjectiveKind::ar;
  if (causal && !command.text_template.empty()) {
    throw InputError(fmt::format(
        "{} is autoregressive and cannot fill blanks: give --prompt, or a llada run", command.run));
  }
  const Canvas canvas = make_canvas(command, run);
  const Samples samples =
      causal ? sample_causal(command, run, canvas) : sample_masked(command, run, canvas);
  print(command, run, canvas, samples);
}

}  // namespace

void add_sample_command(CLI::App& app) {
  auto options = std::make_shared<SampleCommand>();
  CLI::App* command = app.add_subcommand("sample", "Text that a run writes");
  command->footer(kFooter);
  command->add_option("RUN", options->run, "The run's folder")->type_name(kRun)->required();
  auto* prompt = command->add_option("--prompt", options->prompt, "Text to go on from");
  command
      ->add_option("--template", options->text_template, "Text with blanks (_) to fill; llada only")
      ->excludes(prompt);
  command->add_option("--length", options->length,
                      "Tokens in all (default: the template's, else the model's context)");
  command->add_option("--steps", options->steps,
                      "llada: steps, at most with threshold (default: one token a step)");
  takes_one_of(
      command->add_option("--strategy", options->strategy,
                          fmt::format("llada: which blanks a step writes (default {}); see "
                                      "docs/sampling.md",
                                      SampleOptions().strategy)),
      strategy_names());
  command->add_option("--block-length", options->block_length,
                      "llada: blocks of this many tokens, left to right (default: one block)");
  command->add_option(
      "--threshold", options->threshold,
      fmt::format("threshold: writes all whose largest probability is at least this (default {})",
                  StrategyOptions().threshold));
  command->add_option(
      "--remask-share", options->remask_share,
      fmt::format("remask: the share of written tokens that a step reconsiders (default {})",
                  StrategyOptions().remask_share));
  command->add_option("--cfg", options->cfg,
                      "llada: guidance by what is given, 0 or more, at two forwards a step "
                      "(default 0: none)");
  command->add_option("--temperature", options->draw.temperature, "0: the most probable token")
      ->capture_default_str();
  command->add_option("--top-k", options->draw.top_k, "Draw among this many; 0: all")
      ->capture_default_str();
  command->add_option("--top-p", options->draw.top_p, "Draw among this share; 1: all")
      ->capture_default_str();
  command->add_option("--n", options->n, "Samples")->capture_default_str();
  command->add_option("--checkpoint", options->checkpoint, "Least loss on val, newest, or a step")
      ->type_name("best|last|STEP")
      ->capture_default_str();
  command->add_flag("--watch", options->watch, "Show the steps on stderr, on a terminal in place");
  command->add_flag("--json", options->json, "One JSON object on stdout");
  add_common_options(*command, options->common);
  command->callback([options] { sample(*options); });
}

}  // namespace masque
