#include "apps/sample/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>

#include "models/device_sampler.h"
#include "models/generate_text.h"
#include "models/generation.h"

namespace masque {
namespace {

using Ids = std::vector<std::int32_t>;

// (T) given ids, [MASK] where text is wanted.
Ids make_canvas(const SampleRequest& request, const Run& run) {
  const bool fill = !request.text_template.empty();
  const char* name = fill ? "template" : "prompt";
  Ids ids = fill ? run.tokenizer.encode(request.text_template, kBlank)
                 : run.tokenizer.encode(request.prompt);
  const auto given = static_cast<std::int64_t>(ids.size());
  const std::int64_t context = run.config.model.context;
  if (given > context) {
    throw InputError(
        fmt::format("the {} has {} {}s and the model's context is {}: shorten it by {}", name,
                    given, run.tokenizer.unit(), context, given - context));
  }
  const std::int64_t length = request.length.value_or(fill ? given : context);
  if (length < 1 || length > context) {
    throw InputError(
        fmt::format("--length {}: give 1 to {}, the model's context", length, context));
  }
  if (length < given) {
    throw InputError(fmt::format("--length {}: the {} alone has {} {}s; give at least that", length,
                                 name, given, run.tokenizer.unit()));
  }
  ids.resize(static_cast<std::size_t>(length), Tokenizer::kMask);
  return ids;
}

// [START] goes before; without it a line break begins a text that has no prompt, as nanoGPT's do.
void put_start(Ids& canvas, const Run& run) {
  const bool unwritten = run.config.training.start_token;
  if (!unwritten && canvas.front() != Tokenizer::kMask) return;
  const std::optional<std::int32_t> first = first_token(run.config.training, run.tokenizer);
  if (!first) {
    throw InputError(
        "the run has no [START] and its text no line break to begin from: "
        "give a --prompt");
  }
  if (unwritten) {
    canvas.insert(canvas.begin(), *first);
  } else {
    canvas.front() = *first;
  }
}

// What the samplers refuse too, but before anything is shown.
void check_plan(const SamplePlan& plan, const Run& run) {
  const std::vector<std::uint8_t> excluded = run.tokenizer.excluded();
  if (plan.causal) {
    check_ar_request(plan.n, std::span(plan.start).first(static_cast<std::size_t>(plan.given)),
                     plan.wanted(), run.tokenizer.vocab_size(), excluded, plan.options.draw);
  } else {
    check_llada_request(plan.start, plan.T, *run.network, excluded, plan.options);
    const MaskedStart blocks_have_steps(plan.start, plan.T, plan.options);
  }
}

}  // namespace

SamplePlan make_plan(const SampleRequest& request, const Run& run) {
  SamplePlan plan;
  plan.causal = run.config.model.objective == ObjectiveKind::ar;
  if (plan.causal) check_causal_request(request, run.folder.path().string());
  Ids canvas = make_canvas(request, run);
  if (plan.causal) put_start(canvas, run);
  plan.n = request.n;
  plan.T = static_cast<std::int64_t>(canvas.size());
  plan.given = plan.T - std::count(canvas.begin(), canvas.end(), Tokenizer::kMask);
  for (std::int64_t i = 0; i < plan.n; ++i) {
    plan.start.insert(plan.start.end(), canvas.begin(), canvas.end());
  }
  plan.options.draw = request.draw;
  plan.strategy = plan.causal ? "autoregressive" : strategy_of(request);
  plan.steps = request.steps.value_or(plan.wanted());
  if (!plan.causal) {
    plan.options.strategy = plan.strategy;
    plan.options.of_strategy = strategy_options(request);
    plan.options.steps = request.steps.value_or(0);
    plan.options.block_length = request.block_length.value_or(0);
    plan.options.guidance = request.cfg.value_or(0);
  }
  check_plan(plan, run);
  return plan;
}

std::string note_on(const SamplePlan& plan, const Run& run) {
  if (plan.causal || plan.T >= run.config.model.context) return "";
  return fmt::format(
      "note: {} {}s are fewer than the {} that the model was trained on; it may write worse",
      plan.T, run.tokenizer.unit(), run.config.model.context);
}

SampleResult generate(const SamplePlan& plan, Run& run, const Watch& watch) {
  const std::vector<std::uint8_t> excluded = run.tokenizer.excluded();
  if (plan.causal) {
    const auto prompt = std::span(plan.start).first(static_cast<std::size_t>(plan.given));
    return generate_ar(*run.network, plan.n, prompt, plan.wanted(), excluded, plan.options.draw,
                       watch);
  }
  return generate_llada(*run.network, plan.start, plan.T, excluded, plan.options, watch);
}

Ids Samples::ids(std::int64_t sequence) const {
  const auto begin = result.ids.begin() + sequence * plan.T;
  Ids ids(begin, begin + plan.T);
  std::erase(ids, Tokenizer::kStart);
  return ids;
}

double Samples::tokens_per_second() const {
  return static_cast<double>(plan.wanted() * plan.n) / result.seconds;
}

std::string Samples::summary() const {
  double forwards = 0;  // of all sequences
  for (const std::int64_t own : result.sequence_forwards) forwards += static_cast<double>(own);
  return fmt::format("{}, {} steps, {:.0f} forwards a sample in {:.2f} s, {:.0f} tokens/s",
                     plan.strategy, plan.steps, forwards / static_cast<double>(plan.n),
                     result.seconds, tokens_per_second());
}

}  // namespace masque
