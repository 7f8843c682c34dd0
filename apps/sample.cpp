#include "apps/sample.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "apps/common.h"
#include "models/device_sampler.h"
#include "models/run.h"
#include "models/utf8.h"

namespace masque {
namespace {

using Json = nlohmann::ordered_json;
using Ids = std::vector<std::int32_t>;

constexpr const char* kFooter =
    "Examples:\n"
    "  masque sample runs/llada --prompt \"ROMEO:\" --steps 64 --strategy ancestral\n"
    "  masque sample runs/llada --template \"To be, or ______, that is the question\" --n 3\n"
    "  masque sample runs/ar --prompt \"ROMEO:\" --temperature 0.8 --length 100 --json";
constexpr char kBlank = '_';
constexpr std::uint64_t kDefaultSeed = 1;
constexpr const char* kRule = "----------------------------------------";

struct SampleCommand {
  std::string run, prompt, text_template, checkpoint = "best";
  std::optional<std::string> strategy;
  std::optional<std::int64_t> length, steps;
  std::int64_t n = 1;
  DrawOptions draw;
  bool watch = false, json = false;
  CommonOptions common;
};

// What every sample begins as: (T) given ids, [MASK] where text is wanted.
struct Canvas {
  Ids ids;
  std::int64_t given = 0;

  std::int64_t length() const { return static_cast<std::int64_t>(ids.size()); }
  std::int64_t wanted() const { return length() - given; }
};

// A template's ids: [MASK] at each blank.
Ids encode_template(const std::string& text, const Tokenizer& tokenizer) {
  const std::u32string characters = decode_utf8(text);
  std::u32string filled = characters;  // so that errors name positions of the template
  std::replace(filled.begin(), filled.end(), char32_t{kBlank}, tokenizer.characters().front());
  Ids ids = tokenizer.encode(encode_utf8(filled));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (characters[i] == char32_t{kBlank}) ids[i] = Tokenizer::kMask;
  }
  return ids;
}

Canvas make_canvas(const SampleCommand& command, const Run& run) {
  const bool fill = !command.text_template.empty();
  const char* name = fill ? "template" : "prompt";
  Canvas canvas;
  canvas.ids = fill ? encode_template(command.text_template, run.tokenizer)
                    : run.tokenizer.encode(command.prompt);
  const std::int64_t context = run.config.model.context, given = canvas.length();
  if (given > context) {
    throw InputError(
        fmt::format("the {} has {} characters and the model's context is {}: shorten it by {}",
                    name, given, context, given - context));
  }
  const std::int64_t length = command.length.value_or(fill ? given : context);
  if (length < 1 || length > context) {
    throw InputError(
        fmt::format("--length {}: give 1 to {}, the model's context", length, context));
  }
  if (length < given) {
    throw InputError(
        fmt::format("--length {}: the {} alone has {} characters", length, name, given));
  }
  canvas.ids.resize(static_cast<std::size_t>(length), Tokenizer::kMask);
  canvas.given = length - std::count(canvas.ids.begin(), canvas.ids.end(), Tokenizer::kMask);
  return canvas;
}

// Text with a blank for each token not yet written.
std::string show(const Tokenizer& tokenizer, std::span<const std::int32_t> ids) {
  std::string text;
  for (const std::int32_t& id : ids) {
    if (id == Tokenizer::kStart) continue;
    text += id == Tokenizer::kMask ? std::string(1, kBlank) : tokenizer.decode({&id, 1});
  }
  return text;
}

// Prints every state of the n sequences on stderr: in place on a terminal, one after another
// elsewhere. Without --watch, a bar of the `steps`; on a GPU none, which would wait for each step.
Watch make_watch(const SampleCommand& command, const Run& run, Progress& progress) {
  if (!command.watch && on_gpu(run.transformer->device())) return {};
  return [&command, &tokenizer = run.tokenizer, &progress,
          step = std::int64_t{0}](const StepReport& report) mutable {
    const std::span<const std::int32_t> sequences = report.sequences;
    ++step;
    if (!command.watch) {
      progress.update(step, "steps");
      return;
    }
    std::string text = progress.on_terminal() ? "\033[H\033[2J" : "";
    text += fmt::format("step {}\n", step);
    const std::size_t T = sequences.size() / static_cast<std::size_t>(command.n);
    for (std::size_t first = 0; first < sequences.size(); first += T) {
      text += fmt::format("{}\n{}\n", show(tokenizer, sequences.subspan(first, T)), kRule);
    }
    fmt::print(stderr, "{}", text);
  };
}

// What is written, and how that is named in JSON.
struct Samples {
  SampleResult result;  // ids (n,T), without [START]
  std::string strategy;
  std::int64_t steps = 0;
};

Samples sample_masked(const SampleCommand& command, Run& run, const Canvas& canvas) {
  if (canvas.length() < run.config.model.context) {
    fmt::print(stderr,
               "note: {} characters are fewer than the {} that the model was trained on; "
               "it may write worse\n",
               canvas.length(), run.config.model.context);
  }
  SampleOptions options;
  options.draw = command.draw;
  options.strategy = command.strategy.value_or(options.strategy);
  options.steps = command.steps.value_or(0);
  Samples samples;
  samples.strategy = options.strategy;
  samples.steps = command.steps.value_or(canvas.wanted());
  Ids sequences;
  for (std::int64_t i = 0; i < command.n; ++i) {
    sequences.insert(sequences.end(), canvas.ids.begin(), canvas.ids.end());
  }
  Progress progress(samples.steps);
  samples.result =
      generate_llada(*run.network, std::move(sequences), canvas.length(), run.tokenizer.excluded(),
                     options, make_watch(command, run, progress));
  return samples;
}

// [START] and the prompt; without [START] the prompt, or a line break as nanoGPT begins with.
Ids first_ids(const Canvas& canvas, const Run& run) {
  Ids ids(canvas.ids.begin(), canvas.ids.begin() + canvas.given);
  if (run.config.training.start_token) {
    ids.insert(ids.begin(), Tokenizer::kStart);
  } else if (ids.empty()) {
    const auto characters = run.tokenizer.characters();
    if (std::find(characters.begin(), characters.end(), U'\n') == characters.end()) {
      throw InputError(
          "the run has no [START] and its text no line break to begin from: "
          "give a --prompt");
    }
    ids = run.tokenizer.encode("\n");
  }
  return ids;
}

Samples sample_causal(const SampleCommand& command, Run& run, const Canvas& canvas) {
  if (command.strategy || command.steps) {
    throw InputError(fmt::format(
        "{} is autoregressive and writes one token a step: leave out --strategy and --steps",
        command.run));
  }
  const Ids prompt = first_ids(canvas, run);
  const std::size_t unwritten = run.config.training.start_token ? 1 : 0;
  const std::int64_t length = canvas.length() + static_cast<std::int64_t>(unwritten) -
                              static_cast<std::int64_t>(prompt.size());
  Samples samples;
  samples.strategy = "autoregressive";
  samples.steps = length;
  {
    Progress progress(length);
    samples.result = generate_ar(*run.network, command.n, prompt, length, run.tokenizer.excluded(),
                                 command.draw, make_watch(command, run, progress));
  }
  std::erase(samples.result.ids, Tokenizer::kStart);
  return samples;
}

void print(const SampleCommand& command, const Run& run, const Canvas& canvas,
           const Samples& samples) {
  const SampleResult& result = samples.result;
  const double rate = static_cast<double>(canvas.wanted() * command.n) / result.seconds;
  Json list = Json::array();
  for (std::int64_t i = 0; i < command.n; ++i) {
    const auto T = static_cast<std::size_t>(canvas.length());
    const auto ids = std::span(result.ids).subspan(static_cast<std::size_t>(i) * T, T);
    const std::string text = run.tokenizer.decode(ids);
    if (command.json) {
      list.push_back({{"text", text},
                      {"ids", Ids(ids.begin(), ids.end())},
                      {"forwards", result.forwards},
                      {"seconds", result.seconds},
                      {"tokens_per_second", rate}});
    } else {
      fmt::print("{}{}\n", i == 0 ? "" : fmt::format("{}\n", kRule), text);
    }
  }
  if (command.json) {
    const Json json = {{"samples", list},
                       {"strategy", samples.strategy},
                       {"steps", samples.steps},
                       {"seed", command.draw.seed}};
    fmt::print("{}\n", json.dump());
    return;
  }
  fmt::print(stderr, "{}, {} steps, {} forwards in {:.2f} s, {:.0f} tokens/s\n", samples.strategy,
             samples.steps, result.forwards, result.seconds, rate);
}

void sample(SampleCommand command) {
  if (command.n < 1) throw InputError(fmt::format("--n {}: give at least 1", command.n));
  if (command.steps && *command.steps < 1) {
    throw InputError(fmt::format("--steps {}: give at least 1", *command.steps));
  }
  if (command.strategy) make_strategy(*command.strategy);
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
  command->add_option("RUN", options->run, "The run's folder")->required();
  auto* prompt = command->add_option("--prompt", options->prompt, "Text to go on from");
  command
      ->add_option("--template", options->text_template, "Text with blanks (_) to fill; llada only")
      ->excludes(prompt);
  command->add_option("--length", options->length,
                      "Characters in all (default: the template's, else the model's context)");
  command->add_option("--steps", options->steps, "llada: steps (default: one token a step)");
  command->add_option(
      "--strategy", options->strategy,
      fmt::format("llada: {} (default low_confidence)", fmt::join(strategy_names(), " or ")));
  command->add_option("--temperature", options->draw.temperature, "0: the most probable token")
      ->capture_default_str();
  command->add_option("--top-k", options->draw.top_k, "Draw among this many; 0: all")
      ->capture_default_str();
  command->add_option("--top-p", options->draw.top_p, "Draw among this share; 1: all")
      ->capture_default_str();
  command->add_option("--n", options->n, "Samples")->capture_default_str();
  command->add_option("--checkpoint", options->checkpoint, "best, last or a step")
      ->capture_default_str();
  command->add_flag("--watch", options->watch, "Show every step on stderr");
  command->add_flag("--json", options->json, "One JSON object on stdout");
  add_common_options(*command, options->common);
  command->callback([options] { sample(*options); });
}

}  // namespace masque
