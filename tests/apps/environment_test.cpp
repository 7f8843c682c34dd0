// environment.json: that a run can be repeated from it.
#include "apps/environment.h"

#include <nlohmann/json.hpp>

#include "tests/support/catch.h"
#include "tests/support/process.h"
#include "tests/support/scratch.h"
#include "tests/support/small_run.h"

using Catch::Matchers::Contains;
using Catch::Matchers::Matches;

namespace masque::test {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

bool has_program(const std::string& name) {
  if (run_program(name, {"--version"}).code == 0) return true;
  WARN("SKIPPED: no program " << name);
  return false;
}

TEST_CASE("what environment.json says is enough to repeat a run to the bit", "[cpu]") {
  const SmallRun run("llada", {"dropout=0.1"});
  const fs::path folder = run.path();
  const Json json = Json::parse(slurp(folder / "environment.json"));
  INFO(json.dump(2));
  CHECK_THAT(json["commit"].get<std::string>(), Matches("[0-9a-f]{12}|unknown"));
  CHECK((json["dirty"].is_boolean() || json["commit"] == "unknown"));
  CHECK(json["threads"] == 1);
  CHECK(json["variables"]["OMP_NUM_THREADS"] == "1");
  CHECK_THAT(json["device"].get<std::string>(), Contains(json["dtype"].get<std::string>()) &&
                                                    Contains(json["level"].get<std::string>()));
  CHECK(json["usable_cpus"].get<int>() >= 1);
  CHECK(json["memory_bytes"].get<std::int64_t>() > 1 << 20);
  CHECK_THAT(json["started"].get<std::string>(), Matches("20..-..-..T..:..:..Z"));
  CHECK(json["data"]["file"] == run.data());
  CHECK(json["data"]["bytes"] == fs::file_size(run.data()));
  if (has_program("sha256sum")) {
    CHECK(json["data"]["sha256"] == run_program("sha256sum", {run.data()}).out.substr(0, 64));
  }

  // The same command, in the same place, but for the run's name.
  auto words = json["command"].get<std::vector<std::string>>();
  REQUIRE(words.size() > 3);
  CHECK(words[1] == "train");
  REQUIRE(words[2] == run.path());
  words[2] = run.file("again").string();
  const ProcessResult again =
      run_program(words[0], {words.begin() + 1, words.end()}, json["directory"].get<std::string>(),
                  "env OMP_NUM_THREADS=" + json["variables"]["OMP_NUM_THREADS"].get<std::string>());
  INFO(again.err);
  REQUIRE(again.code == 0);
  for (const char* file : {"checkpoints/last/model.safetensors",
                           "checkpoints/last/optimizer.safetensors", "config.json"}) {
    CHECK(slurp(folder / file) == slurp(run.file("again") / file));
  }
}

TEST_CASE("each sitting of a run is in its environment.json", "[cpu]") {
  const SmallRun run("ar");
  const fs::path file = fs::path(run.path()) / "environment.json";
  const Json first = Json::parse(slurp(file));
  CHECK_FALSE(first.contains("resumed"));
  REQUIRE(run.masque("train", {"--resume", "--steps", "3"}).code == 0);
  Json json = Json::parse(slurp(file));
  REQUIRE(json["resumed"].size() == 1);
  CHECK(json["resumed"][0]["step"] == 2);
  CHECK(json["resumed"][0]["command"].back() == "3");
  CHECK(json["resumed"][0]["commit"] == first["commit"]);
  json.erase("resumed");
  CHECK(json == first);

  spill(file, "{");
  REQUIRE(run.masque("train", {"--resume", "--steps", "4"}).code == 0);
  CHECK(Json::parse(slurp(file))["resumed"][0]["step"] == 3);
}

TEST_CASE("a build knows its commit, and whether its sources differ from it", "[cpu]") {
  if (!has_program("git") || !has_program("cmake")) return;
  const Scratch scratch;
  const fs::path source = scratch / "source", header = scratch / "commit.h";
  const auto git = [&](std::vector<std::string> words) {
    words.insert(words.begin(),
                 {"-c", "user.name=a", "-c", "user.email=a@b", "-C", source.string()});
    const ProcessResult result = run_program("git", words);
    INFO(result.err);
    REQUIRE(result.code == 0);
    return result.out;
  };
  const auto header_of = [&](const std::string& with) {
    const ProcessResult result = run_program(
        "cmake", {"-DGIT=" + with, "-DSOURCE=" + source.string(), "-DOUTPUT=" + header.string(),
                  "-P", std::string(MASQUE_ROOT) + "/apps/commit.cmake"});
    INFO(result.err);
    REQUIRE(result.code == 0);
    return slurp(header);
  };
  const auto says = [](const std::string& commit, const std::string& dirty) {
    return "#define MASQUE_COMMIT \"" + commit + "\"\n#define MASQUE_DIRTY " + dirty + "\n";
  };
  fs::create_directories(source / "apps");
  CHECK(header_of("git") == says("unknown", "-1"));
  CHECK(header_of("") == says("unknown", "-1"));
  spill(source / "apps" / "one.cpp", "int one;\n");
  git({"init", "-q"});
  git({"add", "."});
  git({"commit", "-q", "-m", "one"});
  const std::string commit = git({"rev-parse", "--short=12", "HEAD"}).substr(0, 12);
  CHECK(header_of("git") == says(commit, "0"));
  const auto time = fs::last_write_time(header);
  spill(source / "notes.txt", "no source");
  CHECK(header_of("git") == says(commit, "0"));
  CHECK(fs::last_write_time(header) == time);
  spill(source / "apps" / "two.cpp", "int two;\n");
  CHECK(header_of("git") == says(commit, "1"));
}

}  // namespace
}  // namespace masque::test
