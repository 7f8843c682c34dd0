// What is read of a run's folder, and masque runs as a user runs it.
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/machine.h"
#include "apps/run_log.h"
#include "models/transformer.h"
#include "tests/support/catch.h"
#include "tests/support/log_folder.h"
#include "tests/support/process.h"
#include "tests/support/scratch.h"
#include "tests/support/small_run.h"

using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace masque::test {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

std::vector<std::string> names_of(const Json& listed) {
  std::vector<std::string> names;
  for (const Json& run : listed["runs"]) names.push_back(run["name"]);
  return names;
}

TEST_CASE("a log tells its evaluations, its rate and its time", "[cpu]") {
  const Scratch scratch;
  const fs::path run = log_folder(scratch / "run", ObjectiveKind::llada, 40,
                                  {{10, 2.5, 2.6}, {20, 2.0, 2.2}, {30, 1.8, 2.4}});
  const RunLog log = read_run_log(run);
  CHECK(log.problems.empty());
  REQUIRE(log.config);
  CHECK(log.config->model.objective == ObjectiveKind::llada);
  REQUIRE(log.val.size() == 3);
  REQUIRE(log.train.size() == 3);
  CHECK(log.train[2].loss == 1.8);
  REQUIRE(log.best() != nullptr);
  CHECK(log.best()->loss == 2.2);
  CHECK(log.best()->step == 20);
  CHECK(log.best()->tokens == 2000);
  CHECK(log.steps == 30);
  CHECK(log.last.seconds == 3);
  CHECK(log.tokens_per_second == 1020);  // of 1010, 1020 and 1030
  CHECK(log.written);

  // What was saved counts as done, though it was not logged.
  fs::create_directories(run / "checkpoints" / "step_33");
  fs::create_directory_symlink("step_33", run / "checkpoints" / "last");
  CHECK(read_run_log(run).steps == 33);
}

TEST_CASE("the averaged weights' val is a column of its own, where a run has it", "[cpu]") {
  const Scratch scratch;
  log_folder(scratch / "plain", ObjectiveKind::ar, 40, {{10, 1.9, 2.0}});
  const auto listed = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {"runs", scratch.path().string()});
    return run_program(MASQUE_BINARY, options).out;
  };
  CHECK_THAT(listed({}), !Contains("of EMA"));
  const fs::path run = log_folder(scratch / "run", ObjectiveKind::ar, 40, {{10, 1.9, 2.1}});
  std::ofstream(run / "metrics.jsonl", std::ios::app)
      << R"({"step":10,"split":"val_ema","loss":1.75})" << '\n'
      << R"({"step":20,"split":"val_ema","loss":1.85})" << '\n';
  CHECK_THAT(listed({}), Contains("of EMA") && Contains("1.7500"));
  const Json json = Json::parse(listed({"--json"}));
  CHECK(json["runs"][0]["best_val_ema"].is_null());
  CHECK(json["runs"][1]["best_val_ema"] == 1.75);
  CHECK(json["runs"][1]["best_val"] == 2.1);  // which stays that of the weights as trained
}

TEST_CASE("seconds go on over the sittings of older runs", "[cpu]") {
  const Scratch scratch;
  const fs::path run = log_folder(scratch / "run", ObjectiveKind::ar, 40, {});
  std::ofstream(run / "metrics.jsonl")
      << R"({"step":10,"split":"val","loss":3,"seconds":8})" << '\n'
      << R"({"step":20,"split":"val","loss":null,"seconds":9.5})" << '\n'
      << R"({"step":30,"split":"val","loss":2,"seconds":4})" << '\n'
      << R"({"step":40,"split":"val","loss":2.5,"seconds":6})" << '\n';
  const RunLog log = read_run_log(run);
  REQUIRE(log.val.size() == 4);
  CHECK(log.val[2].seconds == 13.5);
  CHECK(log.val[3].seconds == 15.5);
  CHECK(std::isnan(log.val[1].loss));
  CHECK(log.best()->step == 30);
  CHECK(std::isnan(log.last.tokens));
}

TEST_CASE("a damaged run says what it can, and what is wrong", "[cpu]") {
  const Scratch scratch;
  const fs::path run =
      log_folder(scratch / "run", ObjectiveKind::ar, 40, {{10, 2.5, 2.6}, {20, 2.0, 2.2}});
  const std::string config = slurp(run / "config.json"), metrics = slurp(run / "metrics.jsonl");
  const auto problem = [&](const std::string& says) {
    const RunLog log = read_run_log(run);
    REQUIRE(log.problems.size() == 1);
    CHECK_THAT(log.problems[0], Contains(says));
    spill(run / "config.json", config);
    spill(run / "metrics.jsonl", metrics);
    return log;
  };
  spill(run / "metrics.jsonl", metrics + "{\"step\": 30, \"spl");  // as it is being written
  CHECK(read_run_log(run).problems.empty());
  spill(run / "metrics.jsonl", "{\"step\": 30, \"spl\n" + metrics);
  CHECK(problem("metrics.jsonl: line 1 cannot be read and is left out").best()->loss == 2.2);
  spill(run / "metrics.jsonl", metrics + "[]\n" + std::string(9, '\0') + "\n{\"step\": \"x\"}\n");
  CHECK(problem("3 lines cannot be read and are left out, the first line 7").val.size() == 2);
  fs::remove(run / "metrics.jsonl");
  CHECK_FALSE(problem("no metrics.jsonl").written);

  fs::remove(run / "config.json");
  CHECK(problem("no config.json").best()->loss == 2.2);
  spill(run / "config.json", config.substr(0, config.size() / 2));
  CHECK_FALSE(problem("config.json: is not JSON").config);
  spill(run / "config.json", "[]");
  CHECK_FALSE(problem("config.json: the object model is missing").config);
  Json json = Json::parse(config);
  json["training"]["batch"] = -1;
  spill(run / "config.json", json.dump());
  CHECK_FALSE(problem("config.json: batch = -1: must be at least 1").config);
  json = Json::parse(config);
  json["training"]["not_thought_of_yet"] = 1;
  spill(run / "config.json", json.dump());
  CHECK(problem("the key not_thought_of_yet is unknown to this masque").config);
}

TEST_CASE("runs are found below a folder, and not inside each other", "[cpu]") {
  const Scratch scratch;
  const fs::path root = scratch / "root";
  for (const char* name : {"b", "a/deep/er", ".hidden/run", "b/inner"}) {
    log_folder(root / name, ObjectiveKind::ar, 10, {});
  }
  fs::create_directories(root / "no/run");
  spill(root / "no/config.json", "{}");  // of something else
  fs::create_directories(root / "half");
  spill(root / "half/config.json", "{}");
  spill(root / "half/environment.json", "{}");
  fs::create_directory_symlink("b", root / "link");
  CHECK(find_runs(root) == std::vector<fs::path>{root / "a/deep/er", root / "b", root / "half"});
  CHECK(find_runs(root / "b") == std::vector<fs::path>{root / "b"});
  CHECK(find_runs(root / "no").empty());
}

TEST_CASE("masque runs lists runs by objective and best val, or by age", "[cpu]") {
  const Scratch scratch;
  const fs::path root = scratch / "runs";
  log_folder(root / "ar-1", ObjectiveKind::ar, 20, {{10, 1.9, 2.0}, {20, 1.5, 1.75}});
  log_folder(root / "ar-2", ObjectiveKind::ar, 20, {{10, 1.9, 1.7}});
  log_folder(root / "llada", ObjectiveKind::llada, 20, {{20, 2.4, 2.5}});
  log_folder(root / "new", ObjectiveKind::llada, 20, {});
  log_folder(root / "odd", ObjectiveKind::ar, 20, {{10, 1.9, 1.6}});
  spill(root / "odd" / "config.json", "{");
  const auto past = fs::file_time_type::clock::now() - std::chrono::hours(50);
  fs::last_write_time(root / "ar-2" / "metrics.jsonl", past);

  // In the folder that holds ./runs, and as one who writes the log of ar-2.
  std::ofstream writer(root / "ar-2" / "metrics.jsonl", std::ios::app);
  ProcessResult result = run_program(MASQUE_BINARY, {"runs", "--json"}, scratch.path());
  INFO(result.err);
  REQUIRE(result.code == 0);
  const Json listed = Json::parse(result.out);
  CHECK(listed["folder"] == "runs");
  CHECK(names_of(listed) == std::vector<std::string>{"llada", "new", "ar-2", "ar-1", "odd"});
  const Json& llada = listed["runs"][0];
  CHECK(llada["state"] == "done");
  CHECK(llada["objective"] == "llada");
  CHECK(llada["bound"] == "upper");
  CHECK(llada["best_val"] == 2.5);
  CHECK(llada["tokens"] == 2000);
  CHECK(llada["planned_steps"] == 20);
  CHECK(llada["parameters"] ==
        Transformer::parameter_count(read_run_log(root / "llada").config->model));
  CHECK(llada["config"]["training"]["seed"] == 1);
  CHECK(listed["runs"][1]["state"] == "interrupted");
  CHECK(listed["runs"][1]["best_val"].is_null());
  CHECK(listed["runs"][2]["state"] == "running");
  CHECK(listed["runs"][2]["age_seconds"] >= 50 * 3600);
  CHECK(listed["runs"][3]["bound"] == "exact");
  CHECK(listed["runs"][3]["last_train"] == 1.5);
  CHECK(listed["runs"][4]["state"] == "damaged");
  CHECK(listed["runs"][4]["objective"].is_null());
  CHECK(listed["runs"][4]["problems"].size() == 1);
  writer.close();

  result = run_program(MASQUE_BINARY, {"runs"}, scratch.path());
  INFO(result.out);
  CHECK_THAT(result.out, Contains("LLaDA  done") && Contains("≤ 2.5000") && Contains("= 1.7500"));
  CHECK_THAT(result.out, Contains("AR     interrupted") && Contains(" 2d\n"));
  CHECK_THAT(result.out, Contains("odd: config.json: is not JSON"));
  CHECK_THAT(result.out, Contains("= exact, ≤ an upper bound") && !Contains("test"));

  result = run_program(MASQUE_BINARY, {"runs", root.string(), "--json", "--sort", "age"});
  CHECK(names_of(Json::parse(result.out)).back() == "ar-2");
}

TEST_CASE("masque runs says what numbers do not compare", "[cpu]") {
  const Scratch scratch;
  log_folder(scratch / "a", ObjectiveKind::ar, 20, {{20, 1.5, 1.75}});
  const fs::path other = log_folder(scratch / "b", ObjectiveKind::ar, 20, {{20, 1.5, 1.7}});
  ProcessResult result = run_program(MASQUE_BINARY, {"runs", scratch.path().string()});
  CHECK_THAT(result.out, Contains("evaluations, on 64 x 128 tokens") && !Contains("compares only"));
  Json config = Json::parse(slurp(other / "config.json"));
  config["training"]["eval_windows"] = 0;
  config["data"]["tokens"] = 12345;
  spill(other / "config.json", config.dump());
  result = run_program(MASQUE_BINARY, {"runs", scratch.path().string()});
  INFO(result.out);
  CHECK_THAT(result.out, Contains("all x 128") && Contains("12,345, 0.8/0.1") &&
                             Contains("compares only between runs of the same windows and text"));
}

TEST_CASE("masque runs reads what a training wrote, and says where there is none", "[cpu]") {
  const SmallRun run("llada", {"log_every=1"});
  const ProcessResult result = run.masque("runs", {"--json"});
  const Json listed = Json::parse(result.out)["runs"];
  REQUIRE(listed.size() == 1);
  INFO(listed.dump(2));
  CHECK(listed[0]["name"] == "run");
  CHECK(listed[0]["state"] == "done");
  CHECK(listed[0]["problems"].empty());
  CHECK(listed[0]["steps"] == 2);
  CHECK(listed[0]["best_step"] == 2);
  CHECK(listed[0]["tokens"] == 128);
  CHECK(listed[0]["tokens_per_second"].get<double>() > 0);
  CHECK(listed[0]["environment"]["commit"].is_string());

  const Scratch empty;
  const ProcessResult none = run_program(MASQUE_BINARY, {"runs"}, empty.path());
  CHECK(none.code == 0);
  CHECK(none.out.empty());
  CHECK_THAT(none.err, StartsWith("no runs at or below .: masque train makes one"));
  CHECK(run_program(MASQUE_BINARY, {"runs", "--json"}, empty.path()).out ==
        "{\"folder\":\".\",\"runs\":[]}\n");
}

TEST_CASE("files that are open for writing are told from those that are read", "[cpu]") {
  const Scratch scratch;
  const fs::path folder = fs::canonical(scratch.path());
  for (const char* name : {"a", "b", "c"}) {
    fs::create_directory(folder / name);
    spill(folder / name / "metrics.jsonl", "");
  }
  const std::ofstream writer(folder / "a" / "metrics.jsonl", std::ios::app);
  const std::ifstream reader(folder / "b" / "metrics.jsonl");
  const auto files = written_files("metrics.jsonl");
  CHECK(files.count(folder / "a" / "metrics.jsonl") == 1);
  CHECK(files.count(folder / "b" / "metrics.jsonl") == 0);
  CHECK(files.count(folder / "c" / "metrics.jsonl") == 0);
}

}  // namespace
}  // namespace masque::test
