#include "models/config.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>
#include <variant>

#include "core/check.h"
#include "models/spelling.h"
#include "models/strict_json.h"

namespace masque {
namespace {

using Json = nlohmann::json;
using Pointer = std::variant<std::int64_t*, std::uint64_t*, double*, bool*, std::string*>;

constexpr double kMost = 1e12;
constexpr double kMostWide = 1 << 24;     // of a side of a matrix, so that products of two fit
constexpr double kBelowOne = 1 - 1e-9;    // the largest value of what must be below 1
constexpr double kMostRows = 4294967296;  // of a step: rows are numbered in 32 bits
constexpr double kMostNumbers = 1e16;     // of a kind of activation, so that their bytes fit
constexpr std::int64_t kLargeVocabulary = 1 << 17;  // where it is not known yet

// One key of config.json and --set: where it lives and what it may be.
struct Field {
  const char* key;
  bool of_model;
  std::function<Pointer(RunConfig&)> at;
  double least = 0, most = kMost;         // of numbers
  std::vector<std::string> choices = {};  // of strings
};

template <class Member>
Field model_field(const char* key, Member ModelConfig::*member, double least = 0,
                  double most = kMost, std::vector<std::string> choices = {}) {
  return {key,   true, [member](RunConfig& config) -> Pointer { return &(config.model.*member); },
          least, most, std::move(choices)};
}

template <class Member>
Field training_field(const char* key, Member TrainingConfig::*member, double least = 0,
                     double most = kMost, std::vector<std::string> choices = {}) {
  return {
      key,   false, [member](RunConfig& config) -> Pointer { return &(config.training.*member); },
      least, most,  std::move(choices)};
}

const std::vector<Field>& fields() {
  using M = ModelConfig;
  using T = TrainingConfig;
  static const std::vector<Field> table = {
      model_field("vocab_size", &M::vocab_size, 0, kMostWide),
      model_field("context", &M::context, 1, kMostWide),
      model_field("layers", &M::layers, 1, 250),
      model_field("heads", &M::heads, 1, kMostWide),
      model_field("width", &M::width, 1, kMostWide),
      model_field("mlp_width", &M::mlp_width, 0, kMostWide),
      model_field("norm", &M::norm, 0, 0, {"layernorm", "rmsnorm"}),
      model_field("norm_eps", &M::norm_eps, 1e-12, 1),
      model_field("mlp", &M::mlp, 0, 0, {"gelu_tanh", "swiglu"}),
      model_field("position", &M::position, 0, 0, {"learned", "rope"}),
      model_field("rope_theta", &M::rope_theta, 1),
      model_field("bias", &M::bias),
      model_field("tied", &M::tied),
      model_field("dropout", &M::dropout, 0, kBelowOne),
      training_field("steps", &T::steps, 1),
      training_field("batch", &T::batch, 1),
      training_field("accumulation", &T::accumulation, 1),
      training_field("lr", &T::lr, 0, 10),
      training_field("min_lr", &T::min_lr, 0, 10),
      training_field("warmup", &T::warmup),
      training_field("schedule", &T::schedule, 0, 0, {"cosine", "constant"}),
      training_field("weight_decay", &T::weight_decay),
      training_field("beta1", &T::beta1, 0, kBelowOne),
      training_field("beta2", &T::beta2, 0, kBelowOne),
      training_field("clip", &T::clip),
      training_field("spike_z", &T::spike_z),
      training_field("t_sampling", &T::t_sampling, 0, 0, {"stratified", "iid", "batch"}),
      training_field("epsilon", &T::epsilon, 1e-9, 1),
      training_field("weighting", &T::weighting, 0, 0, {"inverse_t", "none"}),
      training_field("input_masking", &T::input_masking, 0, kBelowOne),
      training_field("ema", &T::ema, 0, kBelowOne),
      training_field("tokenizer", &T::tokenizer, 0, 0, {"char", "byte"}),
      training_field("train_fraction", &T::train_fraction, 1e-9, 1),
      training_field("val_fraction", &T::val_fraction, 0, 1),
      training_field("data_fraction", &T::data_fraction, 1e-9, 1),
      training_field("start_token", &T::start_token),
      training_field("stride", &T::stride),
      training_field("log_every", &T::log_every, 1),
      training_field("eval_every", &T::eval_every, 1),
      training_field("eval_windows", &T::eval_windows),
      training_field("eval_draws", &T::eval_draws, 2),
      training_field("eval_crops", &T::eval_crops),
      training_field("save_every", &T::save_every, 1),
      training_field("keep", &T::keep, 1),
      training_field("seed", &T::seed),
  };
  return table;
}

std::vector<std::string> keys() {
  std::vector<std::string> names;
  for (const Field& field : fields()) names.emplace_back(field.key);
  return names;
}

std::string joined(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, ", "));
}

void check_range(const Field& field, double value) {
  if (value >= field.least && value <= field.most) return;
  std::string rule = fmt::format("at most {:g}", field.most);
  if (field.most == kBelowOne) rule = "below 1";
  if (!(value >= field.least)) rule = fmt::format("at least {:g}", field.least);
  throw InputError(fmt::format("{} = {}: must be {}", field.key, value, rule));
}

// Reads a JSON value into a field, checking type and range.
void assign(const Field& field, RunConfig& config, const Json& value) {
  const auto wrong = [&](const char* wanted) {
    return InputError(fmt::format("{} = {}: must be {}", field.key, shown(value), wanted));
  };
  const auto assign_to = [&](auto* target) {
    using Value = std::remove_pointer_t<decltype(target)>;
    if constexpr (std::is_same_v<Value, bool>) {
      if (!value.is_boolean()) throw wrong("true or false");
      *target = value.get<bool>();
    } else if constexpr (std::is_same_v<Value, std::string>) {
      if (!value.is_string() || std::find(field.choices.begin(), field.choices.end(),
                                          value.get<std::string>()) == field.choices.end()) {
        throw wrong(("one of " + joined(field.choices)).c_str());
      }
      *target = value.get<std::string>();
    } else if constexpr (std::is_same_v<Value, double>) {
      if (!value.is_number()) throw wrong("a number");
      check_range(field, value.get<double>());
      *target = value.get<double>();
    } else {
      if (!value.is_number_integer()) throw wrong("a whole number");
      if (!(std::is_unsigned_v<Value> && value.is_number_unsigned())) {
        check_range(field, value.get<double>());
      }
      *target = value.get<Value>();
    }
  };
  std::visit(assign_to, field.at(config));
}

// Refuses a step whose sizes would overflow. config: with its mlp_width.
void check_step(const RunConfig& config) {
  const ModelConfig& model = config.model;
  const TrainingConfig& training = config.training;
  const auto batch = static_cast<double>(training.batch);
  if (batch * static_cast<double>(training.accumulation) >= kMostRows) {
    throw InputError(fmt::format("batch x accumulation = {} x {}: must be below {:.0f}",
                                 training.batch, training.accumulation, kMostRows));
  }
  const std::int64_t vocabulary = model.vocab_size > 0 ? model.vocab_size : kLargeVocabulary;
  const std::int64_t widest =
      std::max({3 * model.width, (model.mlp == "swiglu" ? 2 : 1) * model.mlp_width, vocabulary});
  const double numbers = batch * static_cast<double>(model.context) * static_cast<double>(widest) *
                         static_cast<double>(model.layers);
  if (numbers > kMostNumbers) {
    throw InputError(fmt::format(
        "batch x context x width x layers = {} x {} x {} (the widest) x {}: must be at most {:g}; "
        "lower batch or context",
        training.batch, model.context, widest, model.layers, kMostNumbers));
  }
}

Json value_of(const Field& field, RunConfig config) {
  return std::visit([](const auto* value) { return Json(*value); }, field.at(config));
}

}  // namespace

const char* name_of(ObjectiveKind objective) {
  return objective == ObjectiveKind::llada ? "llada" : "ar";
}

ObjectiveKind objective_from(const std::string& name) {
  if (name == "llada") return ObjectiveKind::llada;
  if (name == "ar") return ObjectiveKind::ar;
  throw InputError(fmt::format("objective {}: must be llada or ar", name));
}

std::vector<std::string> assignable_keys() {
  std::vector<std::string> names;
  for (const Field& field : fields()) {
    const std::string key = field.key;
    if (key == "vocab_size") continue;
    if (field.choices.empty()) names.push_back(key);
    for (const std::string& choice : field.choices) names.push_back(key + "=" + choice);
  }
  return names;
}

void set_value(RunConfig& config, const std::string& key, const Json& value) {
  for (const Field& field : fields()) {
    if (key == field.key) return assign(field, config, value);
  }
  throw InputError(
      fmt::format("unknown key {}: {}masque train --dry-run lists them", key, guess(key, keys())));
}

void set_key(RunConfig& config, const std::string& assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string::npos) {
    throw InputError(fmt::format("--set {}: must be key=value", assignment));
  }
  const std::string key = assignment.substr(0, equals), text = assignment.substr(equals + 1);
  if (key == "vocab_size") throw InputError("--set vocab_size: it follows from the data");
  // Numbers, true and false read as JSON does; anything else is a string.
  Json value = Json::parse(text, nullptr, false);
  if (value.is_discarded() || value.is_structured() || value.is_null()) value = text;
  // 1e4 is a whole number too, to a user.
  if (value.is_number_float() && value.get<double>() == std::floor(value.get<double>()) &&
      std::abs(value.get<double>()) < 1e15) {
    value = static_cast<std::int64_t>(value.get<double>());
  }
  set_value(config, key, value);
}

RunConfig resolve(RunConfig config) {
  ModelConfig& model = config.model;
  const TrainingConfig& training = config.training;
  if (model.width % model.heads != 0) {
    throw InputError(
        fmt::format("width = {}: must be divisible by heads = {}", model.width, model.heads));
  }
  if (model.position == "rope" && model.width / model.heads % 2 != 0) {
    throw InputError(fmt::format("head size {} (width {} / heads {}): must be even for rope",
                                 model.width / model.heads, model.width, model.heads));
  }
  if (training.train_fraction + training.val_fraction > 1 + 1e-12) {
    throw InputError(fmt::format("train_fraction + val_fraction = {:g}: must be at most 1",
                                 training.train_fraction + training.val_fraction));
  }
  if (training.min_lr > training.lr && training.schedule == "cosine") {
    throw InputError(fmt::format("min_lr = {:g}: must be at most lr = {:g}; set both",
                                 training.min_lr, training.lr));
  }
  if (training.eval_draws % 2 != 0) {
    throw InputError(fmt::format("eval_draws = {}: must be even, for two independent sets",
                                 training.eval_draws));
  }
  if (training.eval_crops && training.eval_windows == 0) {
    throw InputError(
        "eval_windows = 0: means all windows, and eval_crops draws some; give a number");
  }
  if (!training.start_token && model.objective == ObjectiveKind::llada) {
    throw InputError("start_token = false: is nanoGPT's protocol for --objective ar only");
  }
  if (training.input_masking > 0 && model.objective == ObjectiveKind::llada) {
    throw InputError(
        fmt::format("input_masking = {:g}: is for --objective ar only; llada masks its inputs by t",
                    training.input_masking));
  }
  if (model.mlp_width == 0) {
    model.mlp_width =
        model.mlp == "swiglu" ? (model.width * 8 / 3 + 15) / 16 * 16 : 4 * model.width;
  }
  check_step(config);
  return config;
}

Json to_json(const RunConfig& config) {
  Json json = {{"model", {{"objective", name_of(config.model.objective)}}},
               {"training", Json::object()},
               {"data", {{"file", config.data.file}, {"tokens", config.data.tokens}}}};
  for (const Field& field : fields()) {
    json[field.of_model ? "model" : "training"][field.key] = value_of(field, config);
  }
  return json;
}

RunConfig config_from_json(const Json& json) {
  RunConfig config;
  for (const char* half : {"model", "training"}) {
    if (!json.is_object() || !json.contains(half) || !json[half].is_object()) {
      throw InputError(fmt::format("config.json: the object {} is missing", half));
    }
  }
  if (!json["model"].contains("objective") || !json["model"]["objective"].is_string()) {
    throw InputError("config.json: model.objective is missing");
  }
  config.model.objective = objective_from(json["model"]["objective"]);
  for (const char* half : {"model", "training"}) {
    for (const auto& entry : json[half].items()) {
      if (entry.key() != "objective") set_value(config, entry.key(), entry.value());
    }
  }
  if (json.contains("data") && json["data"].is_object()) {
    const Json& data = json["data"];
    // "characters" in runs of older versions.
    const char* const count = data.contains("tokens") ? "tokens" : "characters";
    const Json file = data.value("file", Json("")), tokens = data.value(count, Json(0));
    if (!file.is_string() || !tokens.is_number_integer() || tokens < 0 || tokens > kMost) {
      throw InputError(
          fmt::format("config.json: data.file {} and data.{} {}: must be a string and a count",
                      shown(file), count, shown(tokens)));
    }
    config.data = {file, tokens};
  }
  if (config.model.vocab_size == 0) throw InputError("config.json: model.vocab_size is missing");
  return resolve(config);
}

bool trained_alike(const RunConfig& a, const RunConfig& b) {
  return a.training.seed == b.training.seed && to_json(a)["model"] == to_json(b)["model"];
}

}  // namespace masque
