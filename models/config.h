// What a run is: the model's and the training's settings, complete, as config.json holds them.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace masque {

enum class ObjectiveKind { llada, ar };

struct ModelConfig {
  ObjectiveKind objective = ObjectiveKind::llada;
  std::int64_t vocab_size = 0;  // from the tokenizer
  std::int64_t context = 128;
  std::int64_t layers = 4;
  std::int64_t heads = 4;
  std::int64_t width = 128;
  std::int64_t mlp_width = 0;      // 0: 4·width (gelu), or 8/3·width in 16s (swiglu)
  std::string norm = "layernorm";  // layernorm | rmsnorm
  double norm_eps = 1e-5;
  std::string mlp = "gelu_tanh";     // gelu_tanh | swiglu
  std::string position = "learned";  // learned | rope
  double rope_theta = 10000;
  bool bias = true;
  bool tied = false;  // head.weight is wte.weight
  double dropout = 0;
};

struct TrainingConfig {
  std::int64_t steps = 1000;
  std::int64_t batch = 32;        // sequences a micro-batch
  std::int64_t accumulation = 1;  // micro-batches a step
  double lr = 1e-3;
  double min_lr = 1e-4;  // cosine decays to it
  std::int64_t warmup = 100;
  std::string schedule = "cosine";  // cosine | constant
  double weight_decay = 0.1;
  double beta1 = 0.9;
  double beta2 = 0.99;
  double clip = 1.0;   // 0: off
  double spike_z = 0;  // a loss so many standard deviations up, for long, is gone back from; 0: off
  std::string t_sampling = "stratified";  // stratified | iid | batch
  double epsilon = 1e-3;
  std::string weighting = "inverse_t";  // inverse_t | none
  double input_masking = 0;             // AR: share of inputs that are [MASK]; an ablation
  double ema = 0;                       // 0: off
  std::string tokenizer = "char";       // char | byte
  double train_fraction = 0.8;
  double val_fraction = 0.1;  // the rest is test
  double data_fraction = 1;   // of the train split, from its beginning: what is trained on
  bool start_token = true;  // AR reads [START]; false: nanoGPT's windows of context + 1 characters
  std::int64_t stride = 0;  // between training sequences; 0: random crops
  std::int64_t log_every = 10;
  std::int64_t eval_every = 250;
  std::int64_t eval_windows = 64;  // of each split at each evaluation; 0: all
  std::int64_t eval_draws = 8;     // of nelbo, a window
  bool eval_crops =
      false;  // fresh random crops at each evaluation, as nanoGPT does; else fixed windows
  std::int64_t save_every = 250;
  std::int64_t keep = 2;  // step checkpoints kept besides best
  std::uint64_t seed = 1;
};

// Where the text came from: what resuming and evaluating look for.
struct DataConfig {
  std::string file;  // or folder
  std::int64_t tokens = 0;
};

struct RunConfig {
  ModelConfig model;
  TrainingConfig training;
  DataConfig data;
};

// Applies "key=value" to whichever half has the key. InputError for an unknown key (naming the
// nearest), a value of the wrong type or out of range.
void set_key(RunConfig& config, const std::string& assignment);
// As set_key, from a parsed value.
void set_value(RunConfig& config, const std::string& key, const nlohmann::json& value);

// Fills what is left to defaults (mlp_width 0), then checks the rules that span keys (width
// divisible by heads, …). InputError with the mend.
RunConfig resolve(RunConfig config);

// The keys of set_key, as "lr"; a key with few values has each, as "norm=rmsnorm".
std::vector<std::string> assignable_keys();

nlohmann::json to_json(const RunConfig& config);  // {"model", "training", "data"}
// Missing keys take their defaults, so that runs of older versions load. InputError for unknown
// ones.
RunConfig config_from_json(const nlohmann::json& json);

// Whether two runs have one model and one seed: on one text, much the same weights.
bool trained_alike(const RunConfig& a, const RunConfig& b);

const char* name_of(ObjectiveKind objective);           // "llada", "ar"
ObjectiveKind objective_from(const std::string& name);  // InputError for anything else

}  // namespace masque
