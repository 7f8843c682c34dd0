// What is asked of `masque sample`: by its flags, or by the lines of a session.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "models/sampler.h"

namespace masque {

inline constexpr char kBlank = '_';  // of a template

struct SampleRequest {
  std::string prompt, text_template;  // one of them, or neither
  std::optional<std::string> strategy;
  std::optional<std::int64_t> length, steps, block_length;
  std::optional<double> threshold, remask_share, cfg;
  std::int64_t n = 1;
  DrawOptions draw;
};

// --length to --n: all but the text and --seed.
void add_settings(CLI::App& app, SampleRequest& request);

// InputError for what can be refused before a run is read.
void check_request(const SampleRequest& request);
// InputError where an autoregressive run is asked for what fills masks.
void check_causal_request(const SampleRequest& request, const std::string& run);

std::string strategy_of(const SampleRequest& request);
StrategyOptions strategy_options(const SampleRequest& request);

// Names of the settings and their values, those that a model of this kind has.
std::vector<std::pair<std::string, std::string>> settings_of(const SampleRequest& request,
                                                             bool causal);

}  // namespace masque
