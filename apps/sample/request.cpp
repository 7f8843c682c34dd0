#include "apps/sample/request.h"

#include <fmt/format.h>

#include "apps/flags.h"
#include "kernels/backend.h"

namespace masque {
namespace {

void require_at_least_one(const char* flag, std::int64_t value) {
  if (value < 1) throw InputError(fmt::format("{} {}: give at least 1", flag, value));
}

// Those given that say how masks are filled.
std::vector<std::string> flags_of_llada(const SampleRequest& request) {
  std::vector<std::string> flags;
  if (request.strategy) flags.emplace_back("--strategy");
  if (request.steps) flags.emplace_back("--steps");
  if (request.block_length) flags.emplace_back("--block-length");
  if (request.threshold) flags.emplace_back("--threshold");
  if (request.remask_share) flags.emplace_back("--remask-share");
  if (request.cfg) flags.emplace_back("--cfg");
  return flags;
}

}  // namespace

void add_settings(CLI::App& app, SampleRequest& request) {
  app.add_option("--length", request.length,
                 "Tokens in all (default: the template's, else the model's context)");
  app.add_option("--steps", request.steps,
                 "llada: steps, at most with threshold (default: one token a step)");
  takes_one_of(app.add_option("--strategy", request.strategy,
                              fmt::format("llada: which blanks a step writes (default {}); see "
                                          "docs/sampling.md",
                                          SampleOptions().strategy)),
               strategy_names());
  app.add_option("--block-length", request.block_length,
                 "llada: blocks of this many tokens, left to right (default: one block)");
  app.add_option(
      "--threshold", request.threshold,
      fmt::format("threshold: writes all whose largest probability is at least this (default {})",
                  StrategyOptions().threshold));
  app.add_option(
      "--remask-share", request.remask_share,
      fmt::format("remask: the share of written tokens that a step reconsiders (default {})",
                  StrategyOptions().remask_share));
  app.add_option("--cfg", request.cfg,
                 "llada: guidance by what is given, 0 or more, at two forwards a step "
                 "(default 0: none)");
  app.add_option("--temperature", request.draw.temperature, "0: the most probable token")
      ->capture_default_str();
  app.add_option("--top-k", request.draw.top_k, "Draw among this many; 0: all")
      ->capture_default_str();
  app.add_option("--top-p", request.draw.top_p, "Draw among this share; 1: all")
      ->capture_default_str();
  app.add_option("--n", request.n, "Samples")->capture_default_str();
}

void check_request(const SampleRequest& request) {
  require_at_least_one("--n", request.n);
  require_at_least_one("--steps", request.steps.value_or(1));
  require_at_least_one("--block-length", request.block_length.value_or(1));
  const std::string strategy = strategy_of(request);
  make_strategy(strategy, strategy_options(request));
  const auto only_with = [&](const char* flag, std::optional<double> value, const char* name) {
    if (!value || strategy == name) return;
    throw InputError(fmt::format("{} {} is of another strategy than {}: give --strategy {} with it",
                                 flag, *value, strategy, name));
  };
  only_with("--threshold", request.threshold, "threshold");
  only_with("--remask-share", request.remask_share, "remask");
}

void check_causal_request(const SampleRequest& request, const std::string& run) {
  if (!request.text_template.empty()) {
    throw InputError(fmt::format(
        "{} is autoregressive and cannot fill blanks: give --prompt, or a llada run", run));
  }
  const std::vector<std::string> flags = flags_of_llada(request);
  if (flags.empty()) return;
  throw InputError(
      fmt::format("{} is autoregressive and writes one token a step, left to right: leave out {}",
                  run, fmt::join(flags, ", ")));
}

std::string strategy_of(const SampleRequest& request) {
  return request.strategy.value_or(SampleOptions().strategy);
}

StrategyOptions strategy_options(const SampleRequest& request) {
  StrategyOptions options;
  options.threshold = request.threshold.value_or(options.threshold);
  options.remask_share = request.remask_share.value_or(options.remask_share);
  return options;
}

std::vector<std::pair<std::string, std::string>> settings_of(const SampleRequest& request,
                                                             bool causal) {
  const auto or_else = [](std::optional<std::int64_t> value, const char* otherwise) {
    return value ? std::to_string(*value) : std::string(otherwise);
  };
  std::vector<std::pair<std::string, std::string>> settings;
  const bool fill = !request.text_template.empty();
  settings.emplace_back("length", or_else(request.length, fill ? "the template's" : "the context"));
  if (!causal) {
    const std::string strategy = strategy_of(request);
    settings.emplace_back("strategy", strategy);
    settings.emplace_back("steps", or_else(request.steps, "one a token"));
    settings.emplace_back("block-length", or_else(request.block_length, "one block"));
    const StrategyOptions options = strategy_options(request);
    if (strategy == "threshold")
      settings.emplace_back(strategy, fmt::format("{}", options.threshold));
    if (strategy == "remask") {
      settings.emplace_back("remask-share", fmt::format("{}", options.remask_share));
    }
    settings.emplace_back("cfg", fmt::format("{}", request.cfg.value_or(0)));
  }
  settings.emplace_back("temperature", fmt::format("{}", request.draw.temperature));
  settings.emplace_back("top-k", fmt::format("{}", request.draw.top_k));
  settings.emplace_back("top-p", fmt::format("{}", request.draw.top_p));
  settings.emplace_back("n", fmt::format("{}", request.n));
  settings.emplace_back("seed", fmt::format("{}", request.draw.seed));
  return settings;
}

}  // namespace masque
