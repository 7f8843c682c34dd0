// What a training says it will take in memory, against what it takes; and what is said where there
// is none.
#include "tests/support/memory.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "apps/memory_forecast.h"
#include "core/out_of_memory.h"
#include "models/source.h"
#include "models/trainer.h"
#include "tests/support/process.h"
#include "tests/support/scratch.h"
#include "tests/support/smallest_config.h"
// After the engine's own CHECK.
#include "tests/support/catch.h"

namespace masque::test {
namespace {

using Json = nlohmann::json;
using Catch::Contains;

std::vector<std::string> arguments(const Scratch& scratch, const std::string& objective,
                                   const std::vector<std::string>& options) {
  if (!std::filesystem::exists(scratch / "text.txt")) {
    spill(scratch / "text.txt", Source().generate(100'000, 1));
  }
  std::vector<std::string> words = {
      "train",  (scratch / "run").string(),      "--objective", objective,
      "--data", (scratch / "text.txt").string(), "--threads",   "2"};
  words.insert(words.end(), options.begin(), options.end());
  return words;
}

// The process's peak, as Linux counts it (VmHWM), in the log's last line.
double told_peak(const std::string& log) {
  const std::size_t at = log.find("at most ");
  REQUIRE(at != std::string::npos);
  const std::string rest = log.substr(at + 8);
  REQUIRE_THAT(rest, Contains("MiB of memory"));
  return std::stod(rest) * (1 << 20);
}

}  // namespace

TEST_CASE("a dry run foretells a training's peak memory within 5 %", "[cpu]") {
  if (!kCountsMemory) return;
  const auto [objective, preset, dtype] = GENERATE(table<const char*, const char*, const char*>({
      {"llada", "tiny", "f32"},
      {"ar", "tiny", "bf16"},
      {"llada", "quick", "bf16"},
      {"ar", "quick", "f32"},
  }));
  INFO(objective << " " << preset << " " << dtype);
  const Scratch scratch;
  const std::vector<std::string> options = {
      "--preset", preset,    "--dtype",     dtype,          "--steps",      "4",
      "--set",    "ema=0.9", "log_every=1", "eval_every=2", "save_every=2", "eval_windows=16"};
  std::vector<std::string> words = arguments(scratch, objective, options);
  const ProcessResult trained = run_program(MASQUE_BINARY, words);
  INFO(trained.err);
  REQUIRE(trained.code == 0);
  words.emplace_back("--dry-run");
  const ProcessResult dry = run_program(MASQUE_BINARY, words);
  INFO(dry.err);
  REQUIRE(dry.code == 0);
  const Json memory = Json::parse(dry.out)["dry_run"]["memory"];
  CHECK(memory["host_bytes"].get<double>() == Approx(told_peak(trained.err)).epsilon(0.05));
  double sum = 0;
  for (const Json& piece : memory["pieces"]) {
    sum += piece["bytes"].get<double>();
    CHECK_THAT(dry.err, Contains(piece["name"].get<std::string>()));
  }
  CHECK(sum == Approx(memory["host_bytes"].get<double>()).epsilon(0.01));
}

TEST_CASE("the plan of a step's activations is what the step takes", "[cpu]") {
  const ObjectiveKind objective = GENERATE(ObjectiveKind::llada, ObjectiveKind::ar);
  const std::string norm = GENERATE("layernorm", "rmsnorm");
  const Device device = make_device("cpu", GENERATE(as<std::string>(), "f32", "bf16", "f64"));
  const Source source;
  const Tokenizer tokenizer = source.tokenizer();
  RunConfig config = smallest_config(objective);
  config.model.vocab_size = tokenizer.vocab_size();
  config.model.norm = norm;
  config.model.layers = 2;
  config.model.dropout = 0.1;
  config = resolve(config);
  Trainer trainer(config, tokenizer,
                  split_tokens(tokenizer.encode(source.generate(300, 1)), 0.8, 0.1), device);
  trainer.step();
  trainer.step();
  CHECK(trainer.activation_bytes() == step_bytes(config, device));
}

TEST_CASE("memory that is not there is named, with its size and what to change", "[cpu]") {
  SECTION("as the program says it, under a limit") {
    if (!kCountsMemory) return;  // sanitizers need terabytes of addresses
    const Scratch scratch;
    const auto run = [&](const std::vector<std::string>& sets) {
      std::vector<std::string> options = {"--preset", "tiny", "--steps", "1", "--set"};
      options.insert(options.end(), sets.begin(), sets.end());
      const ProcessResult result =
          run_program(MASQUE_BINARY, arguments(scratch, "llada", options), {}, "ulimit -v 500000;");
      CHECK(result.code == 1);
      CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
      CHECK_FALSE(std::filesystem::exists(scratch / "run"));
      return result.err;
    };
    CHECK_THAT(run({"batch=4096"}),
               Contains("out of memory: activations of a training step: ") &&
                   Contains(" GiB more are asked for: lower batch (a larger accumulation"));
    CHECK_THAT(run({"width=2048", "heads=2", "layers=2"}),
               Contains("out of memory: ") && Contains("parameters: ") &&
                   Contains(" MiB more are asked for: lower layers or width"));
  }
  SECTION("before any of it is taken, where the whole machine has not as much") {
    RunConfig config = smallest_config(ObjectiveKind::llada);
    config.model.vocab_size = 10;
    config.training.batch = std::int64_t{1} << 30;
    const MemoryForecast forecast =
        forecast_memory(resolve(config), On<Cpu, float>{}, ForecastAt::before);
    CHECK_THROWS_WITH(require_memory(forecast),
                      Contains("out of memory: this training takes about") &&
                          Contains("activations of a step") && Contains("lower batch"));
    config.training.batch = 2;
    CHECK_NOTHROW(
        require_memory(forecast_memory(resolve(config), On<Cpu, float>{}, ForecastAt::before)));
  }
}

TEST_CASE("bytes for a reader", "[cpu]") {
  CHECK(readable_bytes(960) == "960 bytes");
  CHECK(readable_bytes(12'800) == "12.5 KiB");
  CHECK(readable_bytes(std::size_t{3} << 30) == "3.0 GiB");
}

}  // namespace masque::test
