// masque-bench step and decode, as a user runs them.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/process.h"

namespace masque::test {
namespace {

using Json = nlohmann::json;
using Arguments = std::vector<std::string>;

ProcessResult bench(Arguments arguments) {
  for (const char* argument : {"--preset", "tiny", "--device", "cpu", "--threads", "1"}) {
    arguments.emplace_back(argument);
  }
  return run_program(MASQUE_BENCH_BINARY, arguments);
}

Json bench_json(Arguments arguments) {
  arguments.emplace_back("--json");
  const ProcessResult result = bench(arguments);
  INFO(result.err);
  REQUIRE(result.code == 0);
  return Json::parse(result.out);
}

std::string refusal(const Arguments& arguments) {
  const ProcessResult result = bench(arguments);
  CHECK(result.code == 2);
  CHECK(result.out.empty());
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  return result.err;
}

TEST_CASE("masque-bench step tells what it timed and its peak memory", "[bench][cpu]") {
  const auto step = [](const std::string& batch) {
    return bench_json(
        {"step", "--objective", "ar", "--steps", "1", "--set", "context=32", "batch=" + batch});
  };
  const Json small = step("2"), large = step("64");
  const Json& config = small["results"][0]["config"];
  CHECK(config["model"]["objective"] == "ar");
  CHECK(config["model"]["context"] == 32);
  CHECK(config["training"]["batch"] == 2);
  // Activations are most of what a larger batch adds; all are written to.
  const double more = large["peak_bytes"].get<double>() - small["peak_bytes"].get<double>();
  const double activations = large["results"][0]["activation_bytes"].get<double>() -
                             small["results"][0]["activation_bytes"].get<double>();
  CHECK(more > 0.5 * activations);
  CHECK(more < 4 * activations);  // AddressSanitizer adds its own
}

TEST_CASE("masque-bench decode writes what the objective's generation does", "[bench][cpu]") {
  const Json json =
      bench_json({"decode", "--set", "context=24", "--batch", "3", "--prompt", "4", "--length",
                  "10", "--steps", "5", "--repeat", "2", "--temperature", "0"});
  REQUIRE(json["results"].size() == 2);
  const Json& llada = json["results"][0];
  const Json& ar = json["results"][1];
  CHECK(llada["objective"] == "llada");
  CHECK(llada["forwards"] == 5);
  CHECK(llada["forwards_a_token"] == 0.5);
  CHECK(ar["objective"] == "ar");
  CHECK(ar["forwards"] == 10);
  CHECK(ar["forwards_a_token"] == 1);
  for (const Json& result : json["results"]) {
    CHECK(result["tokens_per_second"].get<double>() ==
          Approx(30 / (1e-3 * result["median_ms"].get<double>())));
    REQUIRE(result["ids"].size() == 3);
    for (const Json& row : result["ids"]) {
      CHECK(row.size() == (result == ar ? 15 : 14));  // [START] too
      const auto ids = row.get<std::vector<int>>();
      CHECK(std::all_of(ids.begin() + 1, ids.end(), [](int id) { return id >= 4; }));
    }
  }
  CHECK(llada["ids"][0] != llada["ids"][1]);  // prompts differ
  CHECK(ar["ids"][0] == ar["ids"][1]);
}

TEST_CASE("masque-bench decode refuses what it cannot generate", "[bench][cpu]") {
  CHECK_THAT(refusal({"decode", "--length", "60", "--prompt", "5"}),
             Catch::Contains("must be at most the context, 64, together"));
  CHECK_THAT(refusal({"decode", "--prompt", "64"}), Catch::Contains("--prompt 64"));
  CHECK_THAT(refusal({"decode", "--batch", "0"}), Catch::Contains("--batch 0: must be at least 1"));
  CHECK_THAT(refusal({"decode", "--weights", "none.safetensors"}),
             Catch::Contains("none.safetensors"));
  CHECK_THAT(refusal({"decode", "--objective", "all"}),
             Catch::Contains("must be llada, ar or both"));
}

}  // namespace
}  // namespace masque::test
