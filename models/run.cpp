#include "models/run.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/check.h"
#include "core/out_of_memory.h"
#include "models/strict_json.h"

namespace masque {
namespace {

// Every parameter from the tensor of its name behind a prefix.
void read_parameters(const Safetensors& tensors, const std::string& prefix,
                     Transformer& transformer) {
  ParameterStore& store = transformer.parameters();
  for (const Parameter& parameter : store.parameters()) {
    tensors.read(prefix + parameter.name, parameter.shape,
                 [&](std::int64_t first, std::span<const double> values) {
                   store.write(parameter, first, values);
                 });
  }
}

// Before memory is taken for what config.json asks for.
void check_size(const std::filesystem::path& file, const ModelConfig& config) {
  std::error_code status;
  const std::uintmax_t bytes = std::filesystem::file_size(file, status);
  const std::int64_t count = Transformer::parameter_count(config);
  if (!status && bytes / sizeof(float) < static_cast<std::uintmax_t>(count)) {
    throw InputError(fmt::format(
        "{}: has {} bytes, too few for the {} parameters of config.json: they are not of one run",
        file.string(), bytes, count));
  }
}

}  // namespace

RunConfig load_config(const RunFolder& folder) {
  folder.require();
  const std::string file = folder.config().string(), mend = "restore it from a copy of the run";
  const nlohmann::json json = read_strict_json(folder.config(), {file, mend});
  try {
    return config_from_json(json);
  } catch (const InputError& error) {
    const std::string name = "config.json: ", what = error.what();
    throw InputError(fmt::format("{}: {}: {}", file,
                                 what.rfind(name, 0) == 0 ? what.substr(name.size()) : what, mend));
  }
}

Run load_run(const std::filesystem::path& path, const std::string& which, const Device& device) {
  const RunFolder folder(path);
  const RunConfig config = load_config(folder);
  Tokenizer tokenizer = Tokenizer::load(folder.tokenizer());
  if (tokenizer.kind() != config.training.tokenizer) {
    throw InputError(fmt::format("{}: is of a {} tokenizer, but config.json has tokenizer {}",
                                 folder.tokenizer().string(), tokenizer.kind(),
                                 config.training.tokenizer));
  }
  if (tokenizer.vocab_size() != config.model.vocab_size) {
    throw InputError(fmt::format("{}: {} tokens, but config.json has vocab_size {}",
                                 folder.tokenizer().string(), tokenizer.vocab_size(),
                                 config.model.vocab_size));
  }
  const WholeCheckpoint checkpoint = folder.whole_checkpoint(which, Scope::weights);
  if (!checkpoint.note.empty()) fmt::print(stderr, "{}\n", checkpoint.note);
  check_size(checkpoint.folder / "model.safetensors", config.model);
  auto transformer = std::make_unique<Transformer>(config.model, device);
  load_model(checkpoint.folder / "model.safetensors", *transformer);
  auto network = std::make_unique<Network>(*transformer);
  return {folder,
          config,
          std::move(tokenizer),
          checkpoint.folder.filename().string(),
          std::move(transformer),
          std::move(network)};
}

void HostCopies::add(const Device& device, const std::string& name, const Shape& shape, DType dtype,
                     const void* data) {
  const std::size_t bytes = bytes_of(shape.count(), dtype);
  auto& copy =
      taking_memory("copy of a checkpoint", bytes, "free some memory",
                    [&]() -> std::vector<std::byte>& { return bytes_.emplace_back(bytes); });
  copy_to_host(device, copy.data(), data, copy.size());
  arrays_.push_back({name, shape, dtype, copy.data()});
}

HostCopies copy_weights(const Transformer& transformer) {
  const ParameterStore& store = transformer.parameters();
  HostCopies copies;
  for (const Parameter& parameter : store.parameters()) {
    copies.add(store.device(), parameter.name, parameter.shape, parameter.master.dtype,
               parameter.master.data);
  }
  return copies;
}

void save_model(const std::filesystem::path& file, const Transformer& transformer) {
  write_safetensors(file, copy_weights(transformer).arrays(), {{"format", "masque"}});
}

void use_ema(Run& run) {
  if (!(run.config.training.ema > 0)) {
    throw InputError(fmt::format("{}: was trained without an EMA of its weights (ema is 0)",
                                 run.folder.path().string()));
  }
  const auto step = run.checkpoint.substr(run.checkpoint.find('_') + 1);
  const WholeCheckpoint whole = run.folder.whole_checkpoint(step, Scope::everything);
  read_parameters(Safetensors(whole.folder / "optimizer.safetensors"), "ema.", *run.transformer);
  run.averaged = true;
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
