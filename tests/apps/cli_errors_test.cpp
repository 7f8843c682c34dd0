// Bad input ends in exit code 2 and one line that says what was wrong, its value and the mend, and
// changes no file: each of golden/errors.txt, word for word.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <sstream>

#include "models/source.h"
#include "tests/support/catch.h"
#include "tests/support/process.h"
#include "tests/support/scratch.h"

namespace masque::test {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLeastErrors = 60;
const fs::path kGolden = fs::path(MASQUE_ROOT) / "tests/apps/golden/errors.txt";

// Every file under `folder` and its contents; links and folders by name.
std::map<std::string, std::string> snapshot(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    files[entry.path().string()] = entry.is_symlink()        ? fs::read_symlink(entry).string()
                                   : entry.is_regular_file() ? slurp(entry.path())
                                                             : "folder";
  }
  return files;
}

// The folder in which the command lines of golden/errors.txt run.
class Desk {
 public:
  Desk() {
    const std::string text = Source().generate(4000, 1);
    fs::create_directories(folder_ / "pictures/deep");
    fs::create_directories(folder_ / "nothing");
    fs::create_directories(folder_ / "notes");
    spill(folder_ / "notes/one.txt", text);
    fs::create_directories(folder_ / "programs");
    fs::create_symlink(MASQUE_BINARY, folder_ / "programs/masque");
    spill(folder_ / "text.txt", text);
    spill(folder_ / "small.txt", text.substr(0, 500));
    spill(folder_ / "short.txt", "too short for a window");
    spill(folder_ / "greek.txt", text.substr(0, 100) + "λ and more of it");
    spill(folder_ / "empty.txt", "");
    spill(folder_ / "latin1.txt", "caf\xe9 au lait");
    spill(folder_ / "cut.txt", "a caf\xc3");
    spill(folder_ / "pictures/logo.png", "\x89PNG");
    spill(folder_ / "pictures/deep/empty", "");
    train("llada", "--objective llada");
    train("ar", "--objective ar");
    train("bytes", "--objective llada --tokenizer byte");
    damage("bad-config", "config.json", "{");
    damage("odd-config", "config.json", R"({"model": {"objective": "llada", "width": "wide"},
      "training": {}, "data": {}})");
    damage("bad-tokenizer", "tokenizer.json", "[]");
    damage("mixed", "tokenizer.json", slurp(folder_ / "bytes/tokenizer.json"));
    damage("garbage", "checkpoints/step_2/model.safetensors", std::string(4096, 'x'));
    shorten("cut", "checkpoints/step_2/model.safetensors");
    shorten("half", "checkpoints/step_2/optimizer.safetensors");
    damage("unsaved", "metrics.jsonl", "");
    fs::remove_all(folder_ / "unsaved/checkpoints/step_2");
    fs::create_directories(folder_ / "half-compared");
    spill(folder_ / "half-compared/plan.json", "{");
    spill(folder_ / "half-compared/results.json", "{");
  }

  const fs::path& path() const { return folder_.path(); }

  // What a shell makes of a command line here; the folder's own name reads HERE.
  ProcessResult run(const std::string& line) const {
    const std::string path = "PATH='" + (folder_ / "programs").string() + "':\"$PATH\"";
    ProcessResult result =
        run_program("sh", {"-c", line}, folder_.path(), "env OMP_NUM_THREADS=1 " + path);
    const std::string here = folder_.path().string();
    for (std::size_t at = 0; (at = result.err.find(here, at)) != std::string::npos;) {
      result.err.replace(at, here.size(), "HERE");
    }
    return result;
  }

 private:
  // A very small model, trained for two steps.
  void train(const std::string& name, const std::string& options) const {
    const ProcessResult result = run(
        "masque train " + name + " " + options +
        " --data text.txt --preset tiny --set layers=1 heads=2 width=16 mlp_width=32 context=16 "
        "batch=4 steps=2 eval_every=2 eval_windows=4 eval_draws=2");
    INFO(result.err);
    REQUIRE(result.code == 0);
  }
  // A copy of the llada run, with other contents of one file.
  void damage(const std::string& name, const std::string& file, const std::string& text) const {
    fs::copy(folder_ / "llada", folder_ / name,
             fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    spill(folder_ / name / file, text);
  }
  void shorten(const std::string& name, const std::string& file) const {
    const std::string whole = slurp(folder_ / "llada" / file);
    damage(name, file, whole.substr(0, whole.size() / 2));
  }

  Scratch folder_;
};

struct Golden {
  std::string line;      // what is typed
  std::string expected;  // exit code and stderr, as "2 masque: …\n"
};

// Fills `golden` with the commands of the file; returns what stands before, between and after them,
// one text more than there are commands.
std::vector<std::string> read_golden(std::vector<Golden>& golden) {
  std::vector<std::string> between(1);
  std::istringstream file(slurp(kGolden));
  bool expected = false;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("$ ", 0) == 0) {
      golden.push_back({line.substr(2), ""});
      between.emplace_back();
      expected = true;
    } else if (expected && !line.empty()) {
      golden.back().expected += line + "\n";
    } else {
      expected = false;
      between.back() += line + "\n";
    }
  }
  return between;
}

}  // namespace

TEST_CASE("errors read as golden/errors.txt has them", "[cpu]") {
  const Desk desk;
  std::vector<Golden> golden;
  const std::vector<std::string> between = read_golden(golden);
  CHECK(golden.size() >= kLeastErrors);
  const char* mode = std::getenv("MASQUE_GOLDEN");
  const bool write = mode != nullptr && std::string(mode) == "write";
  std::string written = between.front();
  auto before = snapshot(desk.path());
  for (std::size_t i = 0; i < golden.size(); ++i) {
    const ProcessResult result = desk.run(golden[i].line);
    const std::string said = std::to_string(result.code) + " " + result.err;
    written += "$ " + golden[i].line + "\n" + said + between[i + 1];
    INFO("$ " << golden[i].line);
    CHECK(result.code == 2);
    CHECK(result.out.empty());
    CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
    CHECK_THAT(result.err, Catch::StartsWith("masque: "));
    if (!write) CHECK(said == golden[i].expected);
    auto after = snapshot(desk.path());
    CHECK((after == before));
    before = std::move(after);
  }
  if (write) spill(kGolden, written);
}

TEST_CASE("an instruction set that is not there is refused, with those that are", "[cpu]") {
  const ProcessResult wrong = run_program(MASQUE_BINARY, {"doctor"}, {}, "MASQUE_CPU=sse9");
  INFO(wrong.err);
  CHECK(wrong.code == 2);
  CHECK(wrong.out.empty());
  CHECK_THAT(wrong.err, Catch::StartsWith("masque: MASQUE_CPU=sse9: must be one of portable"));
  const ProcessResult right = run_program(MASQUE_BINARY, {"doctor"}, {}, "MASQUE_CPU=portable");
  CHECK(right.code == 0);
  CHECK_THAT(right.out, Catch::Contains("cpu portable f32"));
}

TEST_CASE("a stdout that does not take what is written to it is a failure", "[cpu]") {
  const std::string masque = std::string("'") + MASQUE_BINARY + "'";
  for (const char* arguments : {"--version", "train --help", "completion bash", "doctor --json"}) {
    CAPTURE(arguments);
    const ProcessResult full = run_program("sh", {"-c", masque + " " + arguments + " >/dev/full"});
    CHECK(full.code == 1);
    CHECK_THAT(full.err, Catch::StartsWith("masque: cannot write to "));
    CHECK(std::count(full.err.begin(), full.err.end(), '\n') == 1);
  }
  CHECK(run_program("sh", {"-c", masque + " --version >/dev/full"}).err ==
        "masque: cannot write to stdout: free some space, or write elsewhere\n");
  // A reader that has left, as of `| head`, is no failure.
  const ProcessResult left = run_program(
      "sh", {"-c", "trap '' PIPE; { sleep 0.3; " + masque + " --version; echo $? >&2; } | true"});
  CHECK(left.err == "0\n");
}

}  // namespace masque::test
