#include "models/config.h"

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "kernels/backend.h"
#include "models/schedule.h"
#include "tests/support/catch.h"

namespace masque::test {
namespace {

std::string message_of(const std::string& assignment) {
  RunConfig config;
  try {
    set_key(config, assignment);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST_CASE("keys are set in either half, with their types", "[cpu]") {
  RunConfig config;
  set_key(config, "lr=3e-4");
  set_key(config, "steps=1e4");
  set_key(config, "norm=rmsnorm");
  set_key(config, "bias=false");
  set_key(config, "seed=18446744073709551615");
  CHECK(config.training.lr == 3e-4);
  CHECK(config.training.steps == 10000);
  CHECK(config.model.norm == "rmsnorm");
  CHECK_FALSE(config.model.bias);
  CHECK(config.training.seed == 18446744073709551615u);
}

TEST_CASE("what a key cannot be is refused in one line", "[cpu]") {
  CHECK(message_of("leyers=3") ==
        "unknown key leyers: did you mean layers? masque train --dry-run lists them");
  CHECK(message_of("layers") == "--set layers: must be key=value");
  CHECK(message_of("layers=two") == "layers = \"two\": must be a whole number");
  CHECK(message_of("layers=2.5") == "layers = 2.5: must be a whole number");
  CHECK(message_of("steps=0") == "steps = 0: must be at least 1");
  CHECK(message_of("dropout=1") == "dropout = 1: must be below 1");
  CHECK(message_of("lr=-1") == "lr = -1: must be at least 0");
  CHECK(message_of("norm=batchnorm") == "norm = \"batchnorm\": must be one of layernorm, rmsnorm");
  CHECK(message_of("bias=1") == "bias = 1: must be true or false");
  CHECK(message_of("vocab_size=70") == "--set vocab_size: it follows from the data");
}

TEST_CASE("every assignable key can be assigned", "[cpu]") {
  const RunConfig config;
  std::set<std::string> names;
  for (std::string key : assignable_keys()) {
    INFO(key);
    const std::string name = key.substr(0, key.find('='));
    names.insert(name);
    const nlohmann::json json = to_json(config);
    const auto value = json["model"].contains(name) ? json["model"][name] : json["training"][name];
    if (name == key) key += "=" + value.dump();
    RunConfig changed = config;
    CHECK_NOTHROW(set_key(changed, key));
  }
  const nlohmann::json json = to_json(config);
  CHECK(names.size() ==
        json["model"].size() + json["training"].size() - 2);  // objective, vocab_size
}

TEST_CASE("a run of an older version has its tokens and its tokenizer", "[cpu]") {
  RunConfig config;
  config.model.vocab_size = 69;
  config.data = {"text.txt", 1000};
  nlohmann::json json = to_json(resolve(config));
  CHECK(json["training"]["tokenizer"] == "char");
  CHECK(config_from_json(json).data.tokens == 1000);
  json["data"] = {{"file", "text.txt"}, {"characters", 1000}};
  json["training"].erase("tokenizer");
  CHECK(config_from_json(json).data.tokens == 1000);
  CHECK(config_from_json(json).training.tokenizer == "char");
}

TEST_CASE("rules that span keys are checked", "[cpu]") {
  RunConfig config;
  config.model.width = 100;
  config.model.heads = 3;
  CHECK_THROWS_WITH(resolve(config), "width = 100: must be divisible by heads = 3");
  config.model.heads = 20;
  config.model.position = "rope";
  CHECK_THROWS_WITH(resolve(config), "head size 5 (width 100 / heads 20): must be even for rope");
  config.model.position = "learned";
  config.training.train_fraction = 0.95;
  CHECK_THROWS_WITH(resolve(config), "train_fraction + val_fraction = 1.05: must be at most 1");
  config.training.train_fraction = 0.8;
  config.training.eval_windows = 0;
  CHECK_NOTHROW(resolve(config));
  config.training.eval_crops = true;
  CHECK_THROWS_WITH(
      resolve(config),
      "eval_windows = 0: means all windows, and eval_crops draws some; give a number");
}

TEST_CASE("a step whose sizes would overflow is refused", "[cpu]") {
  RunConfig config;
  config.model.context = 1;
  config.training.batch = 1 << 16;
  config.training.accumulation = (1 << 16) - 1;
  CHECK_NOTHROW(resolve(config));
  ++config.training.accumulation;
  CHECK_THROWS_WITH(resolve(config),
                    "batch x accumulation = 65536 x 65536: must be below 4294967296");
  config.training.batch = config.training.accumulation = 1'000'000'000'000;
  CHECK_THROWS_WITH(resolve(config), Catch::Contains("must be below 4294967296"));

  config.training.batch = std::int64_t{1} << 31;
  config.training.accumulation = 1;
  config.model.context = 1 << 24;
  CHECK_THROWS_WITH(resolve(config), Catch::Contains("batch x context x width x layers") &&
                                         Catch::Contains("lower batch or context"));
  config.training.batch = 1;
  config.model.vocab_size = 69;
  CHECK_NOTHROW(resolve(config));
}

TEST_CASE("the MLP's width follows from its kind where it is not given", "[cpu]") {
  RunConfig config;
  config.model.width = 128;
  CHECK(resolve(config).model.mlp_width == 512);
  config.model.mlp = "swiglu";
  CHECK(resolve(config).model.mlp_width == 352);
  config.model.mlp_width = 77;
  CHECK(resolve(config).model.mlp_width == 77);
}

TEST_CASE("a configuration survives JSON", "[cpu]") {
  RunConfig config;
  config.model.objective = ObjectiveKind::ar;
  config.model.vocab_size = 69;
  config.training.seed = 18446744073709551615u;
  config.training.eval_crops = true;
  config.data = {"corpus.txt", 1115394};
  config = resolve(config);
  CHECK(to_json(config_from_json(to_json(config))) == to_json(config));

  nlohmann::json json = to_json(config);
  json["training"].erase("eval_draws");  // a run of before that key
  CHECK(config_from_json(json).training.eval_draws == TrainingConfig().eval_draws);
  json["model"]["colour"] = 3;
  CHECK_THROWS_WITH(config_from_json(json), Catch::Contains("unknown key colour"));
  CHECK_THROWS_WITH(config_from_json(nlohmann::json::array()),
                    "config.json: the object model is missing");
}

TEST_CASE("the learning rate warms up, then falls along a cosine", "[cpu]") {
  TrainingConfig config;
  config.steps = 1100;
  config.warmup = 100;
  config.lr = 1;
  config.min_lr = 0.1;
  CHECK(learning_rate(config, 0) == Approx(1.0 / 101));
  CHECK(learning_rate(config, 99) == Approx(100.0 / 101));
  CHECK(learning_rate(config, 100) == Approx(1));
  CHECK(learning_rate(config, 600) == Approx(0.55));
  CHECK(learning_rate(config, 1100) == Approx(0.1));
  CHECK(learning_rate(config, 5000) == Approx(0.1));
  config.schedule = "constant";
  CHECK(learning_rate(config, 600) == 1);
}

}  // namespace
}  // namespace masque::test
