// masque-parity OUT: what tests/parity_pytorch.py repeats in PyTorch. Trains each block family and
// objective, or with --preset one model on synthetic text, for some steps and writes, a folder
// each: config.json, model.safetensors (the first weights), batches.safetensors (inputs, targets,
// weights, lengths of each micro-batch, as F32), expected.safetensors (logits of the first
// micro-batch; losses, gradient norms).
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <deque>
#include <nlohmann/json.hpp>

#include "apps/presets.h"
#include "core/check.h"
#include "models/checkpoint.h"
#include "models/config.h"
#include "models/dataset.h"
#include "models/files.h"
#include "models/objective.h"
#include "models/run.h"
#include "models/source.h"
#include "models/tokenizer.h"
#include "models/trainer.h"
#include "tests/support/random.h"

namespace masque::test {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kCharacters = 200'000;  // of synthetic text

// Arrays kept until they are written.
class ArrayFile {
 public:
  void add(const std::string& name, const std::vector<double>& values) {
    add(name, {static_cast<std::int64_t>(values.size())}, values.data());
  }
  void add(const std::string& name, const Tensor& tensor) {
    switch (tensor.dtype) {
      case DType::f32:
        return add(name, tensor.shape, tensor.as<float>());
      case DType::f64:
        return add(name, tensor.shape, tensor.as<double>());
      case DType::bf16:
        return add(name, tensor.shape, tensor.as<bf16>());
      case DType::i32:
        return add(name, tensor.shape, tensor.as<std::int32_t>());
    }
  }
  void write(const fs::path& file) const { write_safetensors(file, arrays_, {}); }

 private:
  template <class Value>
  void add(const std::string& name, const Shape& shape, const Value* values) {
    const auto& kept = kept_.emplace_back(values, values + shape.count());
    arrays_.push_back({name, shape, DType::f32, kept.data()});
  }

  std::deque<std::vector<float>> kept_;
  std::vector<HostArray> arrays_;
};

// Some text that repeats enough to be learned and whose last sequence is short.
std::string sample_text() {
  std::string text;
  const std::string words = "the cat saw a dog; so what? ";
  for (std::size_t i = 0; text.size() < 700; ++i) text += words.substr(i * 7 % 20, 3 + i % 5);
  return text;
}

// Norms and biases too leave their special first values, which would hide a wrong formula.
void disturb(ParameterStore& store) {
  for (const Parameter& parameter : store.parameters()) {
    std::vector<double> values = store.read(parameter);
    const std::vector<double> noise = normals(seed_of(parameter.name), parameter.shape.count());
    for (std::size_t i = 0; i < values.size(); ++i) values[i] += 0.1 * noise[i];
    store.write(parameter, values);
  }
}

struct Case {
  fs::path folder;
  RunConfig config;  // resolved
  std::string dtype = "f32";
  bool disturbed = true;
};

void write_case(const Case& wanted, const Tokenizer& tokenizer, const Splits& splits) {
  const Device device = make_device("cpu", wanted.dtype);
  const fs::path& folder = wanted.folder;
  const RunConfig& config = wanted.config;
  const TrainingConfig& training = config.training;
  Trainer trainer(config, tokenizer, splits, device);
  if (wanted.disturbed) disturb(trainer.transformer().parameters());
  fs::create_directories(folder);
  write_file(folder / "config.json", to_json(config).dump(2) + "\n");
  save_model(folder / "model.safetensors", trainer.transformer());

  const Objective objective(config.model, training);
  const Sequences sequences(splits.train, objective.sequence_length(), training.stride,
                            training.seed);
  Arena arena(device, "parity");
  Batch batch = objective.allocate(arena, training.batch);
  const std::int64_t rows = training.batch * training.accumulation, L = objective.sequence_length();
  ArrayFile batches, expected;
  std::vector<double> losses, grad_norms;
  for (std::int64_t step = 0; step < training.steps; ++step) {
    std::vector<std::int32_t> tokens(static_cast<std::size_t>(rows * L)), lengths;
    std::int64_t scored = 0;
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t real = sequences.read(step * rows + row, tokens.data() + row * L);
      lengths.push_back(static_cast<std::int32_t>(objective.scored(real)));
      scored += lengths.back();
    }
    for (std::int64_t micro = 0; micro < training.accumulation; ++micro) {
      const std::int64_t first = micro * training.batch;
      StepState state;
      state.seed = training.seed;
      state.step = static_cast<std::uint32_t>(step);
      state.first_row = static_cast<std::uint32_t>(first);
      std::copy_n(tokens.data() + first * L, training.batch * L, batch.tokens.as<std::int32_t>());
      std::copy_n(lengths.data() + first, training.batch, batch.lengths.as<std::int32_t>());
      state.normaliser = 1.0 / static_cast<double>(scored);
      objective.prepare(device, batch, &state, rows);

      const std::string name = fmt::format("{}.{}.", step, micro);
      batches.add(name + "inputs", batch.inputs);
      batches.add(name + "targets", batch.loss.targets);
      batches.add(name + "weights", batch.loss.weights);
      batches.add(name + "lengths", batch.lengths);
      if (step == 0 && micro == 0) {
        Arena inference(device, "inference");
        Tape tape(inference, Tape::Mode::inference);
        Transformer& network = trainer.transformer();
        const Tensor hidden = network.hidden(tape, batch.inputs, &batch.lengths, nullptr);
        expected.add("logits", network.head(tape, hidden));
      }
    }
    trainer.step();
    const StepMetrics metrics = trainer.metrics();
    losses.push_back(metrics.loss);
    grad_norms.push_back(metrics.grad_norm);
  }
  expected.add("losses", losses);
  expected.add("grad_norms", grad_norms);
  batches.write(folder / "batches.safetensors");
  expected.write(folder / "expected.safetensors");
  fmt::print("{}: loss {:.4f} to {:.4f}\n", folder.filename().string(), losses.front(),
             losses.back());
}

struct Variant {
  const char* name;
  std::vector<const char*> keys;
};

void write_all(const fs::path& out) {
  const std::vector<Variant> variants = {
      {"gpt", {}},
      {"gpt-tied", {"tied=true"}},
      {"llama", {"norm=rmsnorm", "mlp=swiglu", "position=rope", "bias=false"}},
  };
  const std::string text = sample_text();
  const Tokenizer tokenizer = Tokenizer::from_text(text);
  const std::vector<std::int32_t> tokens = tokenizer.encode(text);
  for (const Variant& variant : variants) {
    for (const ObjectiveKind kind : {ObjectiveKind::llada, ObjectiveKind::ar}) {
      RunConfig config;
      config.model.objective = kind;
      for (const char* key :
           {"layers=2", "heads=4", "width=32", "mlp_width=0", "context=24", "batch=5",
            "accumulation=2", "steps=20", "warmup=4", "lr=5e-3", "min_lr=5e-4", "clip=0.7",
            "stride=17", "train_fraction=1", "val_fraction=0"}) {
        set_key(config, key);
      }
      for (const char* key : variant.keys) set_key(config, key);
      config.model.vocab_size = tokenizer.vocab_size();
      write_case({.folder = out / fmt::format("{}-{}", variant.name, name_of(kind)),
                  .config = resolve(config)},
                 tokenizer, split_tokens(tokens, 1, 0));
    }
  }
}

struct Options {
  std::string out, preset, objective = "llada", dtype = "f32";
  std::vector<std::string> sets;
  std::int64_t steps = 5;
  bool disturb = false;
};

void write_preset(const Options& options) {
  RunConfig config = preset(options.preset, objective_from(options.objective));
  for (const std::string& assignment : options.sets) set_key(config, assignment);
  set_key(config, fmt::format("steps={}", options.steps));
  const Source source;
  const Tokenizer tokenizer = source.tokenizer();
  config.model.vocab_size = tokenizer.vocab_size();
  write_case(
      {.folder = fs::path(options.out) / fmt::format("{}-{}", options.preset, options.objective),
       .config = resolve(config),
       .dtype = options.dtype,
       .disturbed = options.disturb},
      tokenizer, split_tokens(tokenizer.encode(source.generate(kCharacters, 1)), 1, 0));
}

void add_options(CLI::App& app, Options& options) {
  app.add_option("OUT", options.out, "Folder that the cases are written to")->required();
  CLI::Option* preset =
      app.add_option("--preset", options.preset,
                     fmt::format("One case, of a preset: {}", fmt::join(preset_names(), ", ")));
  const auto of_preset = [&](CLI::Option* option) { option->needs(preset); };
  of_preset(app.add_option("--objective", options.objective, "llada or ar"));
  of_preset(app.add_option("--steps", options.steps, "Steps, which the schedule spans"));
  of_preset(app.add_option("--set", options.sets, "key=value, any key of config.json")
                ->expected(1, -1)
                ->type_name("KEY=VALUE"));
  of_preset(app.add_option("--dtype", options.dtype, "f32, or another of the CPU's"));
  of_preset(app.add_flag("--disturb", options.disturb,
                         "Adds noise to all weights: their logits are far from alike"));
}

}  // namespace
}  // namespace masque::test

int main(int argc, char** argv) {
  CLI::App app{"Writes what tests/parity_pytorch.py and bench/compare_pytorch.py repeat"};
  app.name("masque-parity");
  masque::test::Options options;
  masque::test::add_options(app, options);
  try {
    app.parse(argc, argv);
    if (options.preset.empty()) {
      masque::test::write_all(options.out);
    } else {
      masque::test::write_preset(options);
    }
    return 0;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "masque-parity: {}\n", error.what());
    return dynamic_cast<const masque::InputError*>(&error) != nullptr ? 2 : 1;
  }
}
