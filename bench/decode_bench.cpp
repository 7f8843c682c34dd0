#include "bench/decode_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "apps/common.h"
#include "bench/report.h"
#include "bench/timer.h"
#include "bench/workload.h"
#include "models/device_sampler.h"
#include "models/run.h"

namespace masque::bench {
namespace {

using Ids = std::vector<std::int32_t>;

constexpr std::int64_t kWarmup = 1;  // generations

struct DecodeOptions {
  ModelOptions model;
  std::string weights;
  std::int64_t batch = 1, prompt = 8, length = 0, steps = 64, repeat = 10;
  double temperature = 1;
  bool json = false;
  CommonOptions common;
};

// A model and what its generations took.
class TimedDecoding {
 public:
  TimedDecoding(const DecodeOptions& options, const RunConfig& run_config, const Text& text,
                const Device& device)
      : config(run_config),
        batch(options.batch),
        length(options.length > 0 ? options.length : config.model.context - options.prompt),
        transformer(config.model, device),
        network_(transformer),
        excluded_(text.tokenizer.excluded()) {
    if (length < 1 || options.prompt + length > config.model.context) {
      throw InputError(
          fmt::format("--prompt {} and --length {}: must be at most the context, {}, together",
                      options.prompt, length, config.model.context));
    }
    if (options.weights.empty()) {
      transformer.initialise(config.training.seed);
    } else {
      load_model(options.weights, transformer);
    }
    sampling_.draw.temperature = options.temperature;
    sampling_.draw.seed = config.training.seed;
    sampling_.steps = options.steps;
    begin(options.prompt, text.tokens);
  }

  void generate() {
    result =
        transformer.causal()
            ? generate_ar(network_, batch, start_, length, excluded_, sampling_.draw)
            : generate_llada(network_, start_, static_cast<std::int64_t>(start_.size()) / batch,
                             excluded_, sampling_);
    seconds.push_back(result.seconds);
  }

  RunConfig config;
  std::int64_t batch, length;
  Transformer transformer;
  std::vector<double> seconds;  // a generation; warm-up first
  SampleResult result;          // of the last

 private:
  // AR: what every row goes on from. LLaDA: rows of different given tokens, then masks.
  void begin(std::int64_t prompt, const Ids& text) {
    if (transformer.causal()) {
      if (config.training.start_token) start_.push_back(Tokenizer::kStart);
      start_.insert(start_.end(), text.begin(), text.begin() + prompt);
      return;
    }
    for (std::int64_t b = 0; b < batch; ++b) {
      const auto first = text.begin() + b * prompt;
      start_.insert(start_.end(), first, first + prompt);
      start_.insert(start_.end(), static_cast<std::size_t>(length), Tokenizer::kMask);
    }
  }

  Network network_;
  std::vector<std::uint8_t> excluded_;
  SampleOptions sampling_;
  Ids start_;
};

struct Row {
  const TimedDecoding* decoding = nullptr;
  Spread seconds;

  double tokens() const { return static_cast<double>(decoding->batch * decoding->length); }
  double token_rate() const { return tokens() / seconds.median; }
  double forwards_a_token() const {
    return static_cast<double>(decoding->result.forwards) / static_cast<double>(decoding->length);
  }
  const char* objective() const { return name_of(decoding->config.model.objective); }
};

void check(const DecodeOptions& options) {
  const auto at_least = [](const char* name, std::int64_t value, std::int64_t least) {
    if (value < least) {
      throw InputError(fmt::format("{} {}: must be at least {}", name, value, least));
    }
  };
  at_least("--batch", options.batch, 1);
  at_least("--prompt", options.prompt, 1);
  at_least("--length", options.length, 0);
  at_least("--steps", options.steps, 0);
  at_least("--repeat", options.repeat, 1);
  if (options.batch * options.prompt > kCharacters) {
    throw InputError(
        fmt::format("--batch {} and --prompt {}: there are {} characters to go on from",
                    options.batch, options.prompt, kCharacters));
  }
}

void print(const std::vector<Row>& rows, std::size_t peak) {
  fmt::print("{:<9}  {:>5}  {:>6}  {:>8}  {:>16}  {:>9}  {:>7}  {:>10}\n", "objective", "batch",
             "length", "forwards", "forwards a token", "median ms", "IQR ms", "tokens/s");
  for (const Row& row : rows) {
    fmt::print("{:<9}  {:>5}  {:>6}  {:>8}  {:>16.2f}  {:>9.2f}  {:>7.2f}  {:>10}\n",
               row.objective(), row.decoding->batch, row.decoding->length,
               row.decoding->result.forwards, row.forwards_a_token(), 1e3 * row.seconds.median,
               1e3 * row.seconds.range(), grouped(static_cast<std::int64_t>(row.token_rate())));
  }
  fmt::print("\npeak memory of the process{}: {}\n", rows.size() > 1 ? ", of both" : "",
             mebibytes(peak));
}

void print_json(const std::vector<Row>& rows, const Ceilings& ceilings, const Device& device,
                const DecodeOptions& options, std::size_t peak) {
  nlohmann::ordered_json json = report("decode", device, ceilings);
  json["preset"] = options.model.preset;
  json["set"] = options.model.sets;
  json["repeat"] = options.repeat;
  json["prompt"] = options.prompt;
  json["temperature"] = options.temperature;
  json["peak_bytes"] = peak;
  for (const Row& row : rows) {
    const TimedDecoding& decoding = *row.decoding;
    nlohmann::ordered_json sequences;
    const std::vector<std::int32_t>& ids = decoding.result.ids;
    const auto T = static_cast<std::ptrdiff_t>(ids.size()) / decoding.batch;
    for (auto first = ids.begin(); first != ids.end(); first += T) {
      sequences.push_back(Ids(first, first + T));
    }
    json["results"].push_back({{"objective", row.objective()},
                               {"config", to_json(decoding.config)},
                               {"parameters", decoding.transformer.parameters().count()},
                               {"batch", decoding.batch},
                               {"length", decoding.length},
                               {"forwards", decoding.result.forwards},
                               {"forwards_a_token", row.forwards_a_token()},
                               {"median_ms", 1e3 * row.seconds.median},
                               {"first_quartile_ms", 1e3 * row.seconds.first_quartile},
                               {"third_quartile_ms", 1e3 * row.seconds.third_quartile},
                               {"tokens_per_second", row.token_rate()},
                               {"ids", sequences}});
  }
  fmt::print("{}\n", json.dump());
}

void run(const DecodeOptions& options) {
  check(options);
  const Device device = apply(options.common);
  const Text text = synthetic_text();
  std::deque<TimedDecoding> decodings;
  for (const ObjectiveKind objective : objectives(options.model.objective)) {
    RunConfig config = configured(options.model, objective, text.tokenizer.vocab_size());
    if (options.common.seed) config.training.seed = *options.common.seed;
    decodings.emplace_back(options, resolve(config), text, device);
  }
  const std::int64_t rounds = kWarmup + options.repeat;
  Progress progress(rounds);
  for (std::int64_t round = 0; round < rounds; ++round) {
    for (TimedDecoding& decoding : decodings) decoding.generate();
    progress.update(round + 1, fmt::format("generations of {}", options.model.preset));
  }
  const std::size_t peak = peak_bytes();
  std::vector<Row> rows;
  rows.reserve(decodings.size());
  for (const TimedDecoding& decoding : decodings) {
    rows.push_back(
        {&decoding, spread_of({decoding.seconds.begin() + kWarmup, decoding.seconds.end()})});
  }
  const Ceilings ceilings = measure_ceilings(device);
  if (options.json) return print_json(rows, ceilings, device, options, peak);
  print_head(device, ceilings,
             fmt::format("preset {}, {} generations after {} tokens{}", options.model.preset,
                         options.repeat, options.prompt, rows.size() > 1 ? " each, in turn" : ""));
  print(rows, peak);
}

}  // namespace

void add_decode_command(CLI::App& app) {
  auto options = std::make_shared<DecodeOptions>();
  CLI::App* command =
      app.add_subcommand("decode", "Time generation: AR with its key-value cache, LLaDA by steps");
  command->footer(
      "Example:\n  masque-bench decode --preset quick --objective both --batch 8 --steps 64");
  add_model_options(*command, options->model);
  command->add_option("--weights", options->weights,
                      "model.safetensors of one objective; default: a fresh model's");
  command->add_option("--batch", options->batch, "Sequences at once")->capture_default_str();
  command->add_option("--prompt", options->prompt, "Tokens of synthetic text to go on from")
      ->capture_default_str();
  command
      ->add_option("--length", options->length,
                   "Tokens to produce; 0: as many as the context leaves")
      ->capture_default_str();
  command->add_option("--steps", options->steps, "llada: steps; 0: one token a step")
      ->capture_default_str();
  command->add_option("--repeat", options->repeat, "Generations to time")->capture_default_str();
  command->add_option("--temperature", options->temperature, "0: the most probable token")
      ->capture_default_str();
  add_common_options(*command, options->common);
  command->add_flag("--json", options->json, "One JSON object on stdout, with the ids");
  command->callback([options] { run(*options); });
}

}  // namespace masque::bench
