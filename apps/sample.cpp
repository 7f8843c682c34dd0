#include "apps/sample.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "apps/common.h"
#include "apps/flags.h"
#include "apps/sample/display.h"
#include "apps/sample/page.h"
#include "apps/sample/plan.h"
#include "apps/sample/recording.h"
#include "apps/sample/session.h"
#include "apps/weights.h"
#include "models/run.h"

namespace masque {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFooter =
    "Examples:\n"
    "  masque sample runs/llada --prompt \"ROMEO:\" --steps 64 --strategy ancestral\n"
    "  masque sample runs/llada --strategy threshold --threshold 0.8 --block-length 32\n"
    "  masque sample runs/llada --prompt \"ROMEO:\" --strategy remask --steps 400 --cfg 0.5\n"
    "  masque sample runs/llada --template \"To be, or ______, that is the question\" --n 3\n"
    "  masque sample runs/llada --prompt \"ROMEO:\" --html romeo.html\n"
    "  masque sample runs/ar --prompt \"ROMEO:\" --temperature 0.8 --length 100 --json\n"
    "  masque sample runs/ar --interactive";

struct SampleCommand {
  std::string run, html;
  WeightsChoice weights;
  SampleRequest request;
  std::optional<bool> watch;
  bool json = false, interactive = false;
  CommonOptions common;
};

// The settings of a generation, null where they are of another strategy or model.
Json settings(const SampleRequest& request, const SamplePlan& plan) {
  const StrategyOptions options = strategy_options(request);
  const auto where = [](bool used, auto value) { return used ? Json(value) : Json(nullptr); };
  return {
      {"strategy", plan.strategy},
      {"steps", plan.steps},
      {"seed", request.draw.seed},
      {"temperature", request.draw.temperature},
      {"top_k", request.draw.top_k},
      {"top_p", request.draw.top_p},
      {"block_length", where(request.block_length.has_value(), request.block_length.value_or(0))},
      {"threshold", where(plan.strategy == "threshold", options.threshold)},
      {"remask_share", where(plan.strategy == "remask", options.remask_share)},
      {"cfg", where(!plan.causal, request.cfg.value_or(0))}};
}

void print_json(const SampleRequest& request, const Samples& samples, const Tokenizer& tokenizer) {
  const auto wanted = static_cast<double>(samples.plan.wanted());
  Json list = Json::array();
  for (std::int64_t i = 0; i < samples.plan.n; ++i) {
    const std::vector<std::int32_t> ids = samples.ids(i);
    const std::int64_t own = samples.result.sequence_forwards[static_cast<std::size_t>(i)];
    list.push_back({{"text", tokenizer.decode(ids)},
                    {"ids", ids},
                    {"forwards", own},
                    {"tokens_per_forward", own > 0 ? wanted / static_cast<double>(own) : 0.0},
                    {"seconds", samples.result.seconds},
                    {"tokens_per_second", samples.tokens_per_second()}});
  }
  Json json = {{"samples", list}};
  json.update(settings(request, samples.plan));
  fmt::print("{}\n", json.dump());
}

void sample_once(const SampleCommand& command, Run& run) {
  const SamplePlan plan = make_plan(command.request, run);
  const std::string note = note_on(plan, run);
  if (!note.empty()) fmt::print(stderr, "{}\n", note);
  Recording recording(plan.start, plan.n);
  const Samples samples = write_samples(plan, run, choose_showing(command.watch, command.json),
                                        command.json, command.html.empty() ? nullptr : &recording);
  if (command.json) {
    print_json(command.request, samples, run.tokenizer);
  } else {
    fmt::print(stderr, "{}\n", samples.summary());
  }
  if (command.html.empty()) return;
  write_page(command.html, run, command.request, samples, recording);
  fmt::print(stderr, "{}\n", command.html);
}

void sample(SampleCommand command) {
  check_request(command.request);
  if (!command.html.empty()) check_page_file(command.html);
  command.request.draw.seed = command.common.seed.value_or(kDefaultSeed);
  const Device device = apply(command.common);
  Run run = load_run(command.run, command.weights, device);
  if (command.interactive) {
    Session(run, command.request, command.watch).take_lines();
  } else {
    sample_once(command, run);
  }
}

}  // namespace

void add_sample_command(CLI::App& app) {
  auto options = std::make_shared<SampleCommand>();
  SampleRequest& request = options->request;
  CLI::App* command = app.add_subcommand("sample", "Text that a run writes");
  command->footer(kFooter);
  command->add_option("RUN", options->run, "The run's folder")->type_name(kRun)->required();
  auto* prompt = command->add_option("--prompt", request.prompt, "Text to go on from");
  auto* blanks = command
                     ->add_option("--template", request.text_template,
                                  "Text with blanks (_) to fill; llada only")
                     ->excludes(prompt);
  add_settings(*command, request);
  add_weights_options(*command, options->weights);
  command->add_flag_function(
      "--watch,!--no-watch", [options](std::int64_t times) { options->watch = times > 0; },
      "Show the steps, in place on a terminal (default: where stdout is one)");
  auto* html =
      command
          ->add_option("--html", options->html, "Also write a page to step through the generation")
          ->type_name(kFile);
  auto* json = command->add_flag("--json", options->json, "One JSON object on stdout");
  command
      ->add_flag("--interactive", options->interactive,
                 "A prompt a line, from stdin, and commands: /help lists them")
      ->excludes(prompt)
      ->excludes(blanks)
      ->excludes(html)
      ->excludes(json);
  add_common_options(*command, options->common);
  command->callback([options] { sample(*options); });
}

}  // namespace masque
