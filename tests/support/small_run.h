// A run of a very small model, trained for two steps by the program: for tests of what reads runs.
#pragma once

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/source.h"
#include "tests/support/catch.h"
#include "tests/support/process.h"
#include "tests/support/scratch.h"

namespace masque::test {

// Context 16, one layer; 4000 characters of the synthetic source, 400 of them test.
class SmallRun {
 public:
  // objective: "llada" or "ar". assignments: more keys to set.
  explicit SmallRun(const std::string& objective,
                    const std::vector<std::string>& assignments = {}) {
    spill(data(), Source().generate(4000, 1));
    std::vector<std::string> arguments = {"train", path(),     "--objective", objective, "--data",
                                          data(),  "--preset", "tiny",        "--set"};
    for (const char* key :
         {"layers=1", "heads=2", "width=16", "mlp_width=32", "context=16", "batch=4", "steps=2",
          "eval_every=2", "eval_windows=4", "eval_draws=2"}) {
      arguments.emplace_back(key);
    }
    arguments.insert(arguments.end(), assignments.begin(), assignments.end());
    const ProcessResult result = run_program(MASQUE_BINARY, arguments, {}, kOneThread);
    INFO(result.err);
    REQUIRE(result.code == 0);
  }

  std::string path() const { return (folder_ / "run").string(); }
  std::string data() const { return (folder_ / "text.txt").string(); }
  std::filesystem::path file(const std::string& name) const { return folder_ / name; }

  // masque `command` RUN `options`
  ProcessResult masque(const std::string& command, std::vector<std::string> options = {}) const {
    options.insert(options.begin(), {command, path()});
    return run_program(MASQUE_BINARY, options, {}, kOneThread);
  }
  // What it prints with --json.
  nlohmann::json json(const std::string& command, std::vector<std::string> options = {}) const {
    options.emplace_back("--json");
    const ProcessResult result = masque(command, options);
    INFO(result.err);
    REQUIRE(result.code == 0);
    return nlohmann::json::parse(result.out);
  }
  // What it says where it refuses: one line, and nothing on stdout.
  std::string refusal(const std::string& command, const std::vector<std::string>& options) const {
    const ProcessResult result = masque(command, options);
    CHECK(result.code == 2);
    CHECK(result.out.empty());
    CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
    return result.err;
  }

 private:
  // Work this small is slower on more.
  static constexpr const char* kOneThread = "OMP_NUM_THREADS=1";
  Scratch folder_;
};

}  // namespace masque::test
