#include "models/run.h"

#include <nlohmann/json.hpp>

#include "core/check.h"
#include "models/strict_json.h"

namespace masque {
namespace {

// Every parameter from the tensor of its name behind a prefix.
void read_parameters(const Safetensors& tensors, const std::string& prefix,
                     Transformer& transformer) {
  ParameterStore& store = transformer.parameters();
  std::vector<double> values;
  for (const Parameter& parameter : store.parameters()) {
    values.resize(static_cast<std::size_t>(parameter.shape.count()));
    tensors.read(prefix + parameter.name, parameter.shape, DType::f64, values.data());
    store.write(parameter, values);
  }
}

}  // namespace

RunConfig load_config(const RunFolder& folder) {
  folder.require();
  return config_from_json(read_strict_json(
      folder.config(), {folder.config().string(), "restore it from a copy of the run"}));
}

Run load_run(const std::filesystem::path& path, const std::string& which, const Device& device) {
  const RunFolder folder(path);
  const RunConfig config = load_config(folder);
  Tokenizer tokenizer = Tokenizer::load(folder.tokenizer());
  if (tokenizer.vocab_size() != config.model.vocab_size) {
    throw InputError(fmt::format("{}: {} tokens, but config.json has vocab_size {}",
                                 folder.tokenizer().string(), tokenizer.vocab_size(),
                                 config.model.vocab_size));
  }
  const std::filesystem::path checkpoint = folder.checkpoint(which);
  auto transformer = std::make_unique<Transformer>(config.model, device);
  load_model(checkpoint / "model.safetensors", *transformer);
  auto network = std::make_unique<Network>(*transformer);
  return {folder,
          config,
          std::move(tokenizer),
          std::filesystem::canonical(checkpoint).filename().string(),
          std::move(transformer),
          std::move(network)};
}

void save_model(const std::filesystem::path& file, const Transformer& transformer) {
  const ParameterStore& store = transformer.parameters();
  const bool wide = param_dtype(transformer.device()) == DType::f64;
  std::vector<std::vector<double>> doubles;
  std::vector<std::vector<float>> floats;
  std::vector<HostArray> arrays;
  for (const Parameter& parameter : store.parameters()) {
    std::vector<double> values = store.read(parameter);
    HostArray array{parameter.name, parameter.shape, wide ? DType::f64 : DType::f32, nullptr};
    if (wide) {
      array.data = doubles.emplace_back(std::move(values)).data();
    } else {
      array.data = floats.emplace_back(values.begin(), values.end()).data();
    }
    arrays.push_back(array);
  }
  write_safetensors(file, arrays, {{"format", "masque"}});
}

void use_ema(Run& run) {
  if (!(run.config.training.ema > 0)) {
    throw InputError(fmt::format("{}: was trained without an EMA of its weights (ema is 0)",
                                 run.folder.path().string()));
  }
  const auto step = run.checkpoint.substr(run.checkpoint.find('_') + 1);
  read_parameters(Safetensors(run.folder.checkpoint(step) / "optimizer.safetensors"), "ema.",
                  *run.transformer);
}

void load_model(const std::filesystem::path& file, Transformer& transformer) {
  const Safetensors tensors(file);
  const ParameterStore& store = transformer.parameters();
  if (tensors.entries().size() != store.parameters().size()) {
    throw InputError(fmt::format("{}: {} tensors, but the configuration asks for {}", file.string(),
                                 tensors.entries().size(), store.parameters().size()));
  }
  read_parameters(tensors, "", transformer);
}

}  // namespace masque
