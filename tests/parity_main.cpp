// masque-parity OUT: what tests/parity_pytorch.py repeats in PyTorch. Trains each block family and
// objective for some steps and writes, a folder each: config.json, model.safetensors (the first
// weights), batches.safetensors (inputs, targets, weights, lengths of each micro-batch, as F32),
// expected.safetensors (logits of the first micro-batch; losses, gradient norms).
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <nlohmann/json.hpp>

#include "core/check.h"
#include "models/checkpoint.h"
#include "models/config.h"
#include "models/dataset.h"
#include "models/objective.h"
#include "models/run.h"
#include "models/tokenizer.h"
#include "models/trainer.h"
#include "tests/support/random.h"

namespace masque::test {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kSteps = 20, kAccumulation = 2;

// Arrays kept until they are written.
class ArrayFile {
 public:
  template <class Value>
  void add(const std::string& name, const Shape& shape, std::span<const Value> values) {
    const auto& kept = kept_.emplace_back(values.begin(), values.end());
    arrays_.push_back({name, shape, DType::f32, kept.data()});
  }
  void write(const fs::path& file) const { write_safetensors(file, arrays_, {}); }

 private:
  std::deque<std::vector<float>> kept_;
  std::vector<HostArray> arrays_;
};

template <class Value>
std::span<const Value> values_of(const Tensor& tensor) {
  return {tensor.as<Value>(), static_cast<std::size_t>(tensor.shape.count())};
}

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

void write_case(const fs::path& folder, const RunConfig& config, const Tokenizer& tokenizer,
                const Splits& splits) {
  const Device device = make_device("cpu", "f32");
  const TrainingConfig& training = config.training;
  Trainer trainer(config, tokenizer, splits, device);
  disturb(trainer.transformer().parameters());
  fs::create_directories(folder);
  write_file(folder / "config.json", to_json(config).dump(2) + "\n");
  save_model(folder / "model.safetensors", trainer.transformer());

  const Objective objective(config.model, training);
  const Sequences sequences(splits.train, objective.sequence_length(), training.stride,
                            training.seed);
  Arena arena(device, "parity");
  Batch batch = objective.allocate(arena, training.batch);
  const std::int64_t rows = training.batch * kAccumulation, L = objective.sequence_length();
  const Shape shape{training.batch, config.model.context};
  ArrayFile batches, expected;
  std::vector<double> losses, grad_norms;
  for (std::int64_t step = 0; step < kSteps; ++step) {
    std::vector<std::int32_t> tokens(static_cast<std::size_t>(rows * L)), lengths;
    std::int64_t scored = 0;
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t real = sequences.read(step * rows + row, tokens.data() + row * L);
      lengths.push_back(static_cast<std::int32_t>(objective.scored(real)));
      scored += lengths.back();
    }
    for (std::int64_t micro = 0; micro < kAccumulation; ++micro) {
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
      batches.add(name + "inputs", shape, values_of<std::int32_t>(batch.inputs));
      batches.add(name + "targets", shape, values_of<std::int32_t>(batch.loss.targets));
      batches.add(name + "weights", shape, values_of<float>(batch.loss.weights));
      batches.add(name + "lengths", {training.batch}, values_of<std::int32_t>(batch.lengths));
      if (step == 0 && micro == 0) {
        Arena inference(device, "inference");
        Tape tape(inference, Tape::Mode::inference);
        Transformer& network = trainer.transformer();
        const Tensor hidden = network.hidden(tape, batch.inputs, &batch.lengths, nullptr);
        const Tensor logits = network.head(tape, hidden);
        expected.add("logits", logits.shape, values_of<float>(logits));
      }
    }
    trainer.step();
    const StepMetrics metrics = trainer.metrics();
    losses.push_back(metrics.loss);
    grad_norms.push_back(metrics.grad_norm);
  }
  expected.add("losses", {kSteps}, std::span<const double>(losses));
  expected.add("grad_norms", {kSteps}, std::span<const double>(grad_norms));
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
      write_case(out / fmt::format("{}-{}", variant.name, name_of(kind)), resolve(config),
                 tokenizer, split_tokens(tokens, 1, 0));
    }
  }
}

}  // namespace
}  // namespace masque::test

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: masque-parity OUT\n");
    return 2;
  }
  try {
    masque::test::write_all(argv[1]);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "masque-parity: {}\n", error.what());
    return 1;
  }
}
