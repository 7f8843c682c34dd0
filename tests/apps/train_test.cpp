#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "models/source.h"
#include "tests/support/catch.h"
#include "tests/support/process.h"
#include "tests/support/scratch.h"

namespace masque::test {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

// Everything a resumed run could get wrong: dropout, accumulation, EMA, an epoch that ends mid-run.
std::vector<std::string> arguments(const Scratch& scratch, const std::string& run,
                                   const std::string& objective,
                                   const std::vector<std::string>& keys = {}) {
  const fs::path text = scratch / "text.txt";
  if (!fs::exists(text)) spill(text, Source().generate(3000, 1));
  std::vector<std::string> words = {"train",       (scratch / run).string(),
                                    "--objective", objective,
                                    "--data",      text.string(),
                                    "--preset",    "tiny",
                                    "--set"};
  for (const char* key :
       {"layers=1", "heads=2", "width=16", "context=16", "dropout=0.1", "batch=4", "accumulation=2",
        "stride=16", "ema=0.9", "steps=30", "warmup=5", "log_every=5", "eval_every=10",
        "save_every=10", "keep=10", "eval_windows=4", "eval_draws=2"}) {
    words.emplace_back(key);
  }
  words.insert(words.end(), keys.begin(), keys.end());
  return words;
}

std::vector<Json> metrics(const fs::path& run) {
  std::vector<Json> lines;
  std::istringstream stream(slurp(run / "metrics.jsonl"));
  for (std::string line; std::getline(stream, line);) lines.push_back(Json::parse(line));
  return lines;
}

TEST_CASE("a run folder holds what the contract says", "[cpu]") {
  const Scratch scratch;
  const ProcessResult result = run_program(MASQUE_BINARY, arguments(scratch, "run", "llada"));
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK(result.out.empty());
  const fs::path run = scratch / "run";
  const Json config = Json::parse(slurp(run / "config.json"));
  CHECK(config["model"]["objective"] == "llada");
  CHECK(config["model"]["mlp_width"] == 48);  // resolved
  CHECK(config["training"]["accumulation"] == 2);
  CHECK(config["data"]["tokens"] == 3000);
  CHECK(Json::parse(slurp(run / "environment.json")).contains("commit"));
  CHECK(fs::exists(run / "samples" / "step_30.txt"));
  CHECK(fs::read_symlink(run / "checkpoints" / "last") == "step_30");
  CHECK(fs::is_symlink(run / "checkpoints" / "best"));

  std::set<std::string> splits;
  for (const Json& line : metrics(run)) {
    splits.insert(line["split"].get<std::string>());
    for (const char* key : {"step", "tokens", "epoch", "seconds", "split", "loss", "accuracy"}) {
      INFO(line.dump());
      CHECK(line.contains(key));
    }
    if (line["split"] == "train") {
      for (const char* key : {"lr", "grad_norm", "tokens_per_second"}) CHECK(line.contains(key));
    }
  }
  CHECK(splits == std::set<std::string>{"train", "train_windows", "val", "val_ema"});
  CHECK_THAT(result.err, Catch::Contains("  val ") && Catch::Contains("  ema "));
}

TEST_CASE("a resumed run equals an uninterrupted one in every saved byte", "[cpu]") {
  const std::string objective = GENERATE("llada", "ar");
  const Scratch scratch;
  REQUIRE(run_program(MASQUE_BINARY, arguments(scratch, "whole", objective)).code == 0);

  // The same run as it lay on disk after step 10.
  const fs::path whole = scratch / "whole", cut = scratch / "cut";
  fs::copy(whole, cut, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  for (const char* step : {"step_20", "step_30"}) fs::remove_all(cut / "checkpoints" / step);
  for (const char* name : {"best", "last"}) {
    fs::remove(cut / "checkpoints" / name);
    fs::create_symlink("step_10", cut / "checkpoints" / name);
  }
  const ProcessResult result =
      run_program(MASQUE_BINARY, {"train", cut.string(), "--resume", "--threads", "1"});
  INFO(result.err);
  REQUIRE(result.code == 0);
  for (const char* step : {"step_20", "step_30"}) {
    for (const char* file : {"model.safetensors", "optimizer.safetensors", "state.json"}) {
      INFO(step << "/" << file);
      CHECK(slurp(whole / "checkpoints" / step / file) == slurp(cut / "checkpoints" / step / file));
    }
  }
  CHECK(fs::read_symlink(whole / "checkpoints" / "best") ==
        fs::read_symlink(cut / "checkpoints" / "best"));
  // The log too, but for the clock.
  const std::vector<Json> a = metrics(whole), b = metrics(cut);
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (const char* key : {"step", "tokens", "split", "loss", "accuracy"}) {
      CHECK(a[i][key] == b[i][key]);
    }
  }
  for (std::size_t i = 1; i < b.size(); ++i) CHECK(b[i]["seconds"] >= b[i - 1]["seconds"]);
}

TEST_CASE("an interrupt finishes the step, saves and says how to go on", "[cpu]") {
  const auto signal = GENERATE(std::make_pair("INT", 130), std::make_pair("TERM", 143));
  const Scratch scratch;
  const ProcessResult stopped = run_program(
      MASQUE_BINARY, arguments(scratch, "run", "ar", {"steps=1000000", "eval_every=1000000"}), {},
      std::string("timeout --preserve-status -s ") + signal.first + " 2");
  INFO(stopped.err);
  CHECK(stopped.code == signal.second);
  CHECK_THAT(stopped.err, Catch::Contains("interrupted and saved at step"));
  const fs::path run = scratch / "run";
  const Json state = Json::parse(slurp(run / "checkpoints" / "last" / "state.json"));
  const auto step = state["step"].get<std::int64_t>();
  CHECK(step > 0);
  const ProcessResult resumed = run_program(
      MASQUE_BINARY, {"train", run.string(), "--resume", "--steps", std::to_string(step + 3)});
  INFO(resumed.err);
  CHECK(resumed.code == 0);
  CHECK_THAT(resumed.err, Catch::Contains("resumed at step " + std::to_string(step)));
  CHECK(fs::read_symlink(run / "checkpoints" / "last") == "step_" + std::to_string(step + 3));
}

TEST_CASE("a dry run prints the configuration and writes nothing", "[cpu]") {
  const Scratch scratch;
  std::vector<std::string> words = arguments(scratch, "run", "llada");
  words.emplace_back("--dry-run");
  const ProcessResult result = run_program(MASQUE_BINARY, words);
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK(Json::parse(result.out)["training"]["steps"] == 30);
  CHECK_THAT(result.err, Catch::Contains("tokens/s") && Catch::Contains("activations"));
  words.insert(words.end(), {"--steps", "1"});
  CHECK(run_program(MASQUE_BINARY, words).code == 0);
  CHECK_FALSE(fs::exists(scratch / "run"));
}

TEST_CASE("resuming refuses other settings, other text and a finished run", "[cpu]") {
  const Scratch scratch;
  REQUIRE(run_program(MASQUE_BINARY, arguments(scratch, "run", "ar")).code == 0);
  const std::string run = (scratch / "run").string();
  const auto refused = [&](std::vector<std::string> words, const std::string& says) {
    words.insert(words.begin(), {"train", run, "--resume"});
    const ProcessResult result = run_program(MASQUE_BINARY, words);
    INFO(result.err);
    CHECK(result.code == 2);
    CHECK_THAT(result.err, Catch::Contains(says));
  };
  refused({}, "its 30 steps are done; give --steps N");
  refused({"--set", "lr=1e-4"},
          "--resume: takes objective, tokenizer, preset, keys and seed from the run");
  spill(scratch / "other.txt", Source().generate(2000, 2));
  refused({"--steps", "40", "--data", (scratch / "other.txt").string()},
          "has 2000 characters, but the run was trained on 3000");
}

}  // namespace
}  // namespace masque::test
