// A run whose process is killed, whose checkpoint is damaged, and in whose folder another trains.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <sstream>

#include "models/checkpoint.h"
#include "models/source.h"
#include "tests/support/catch.h"
#include "tests/support/process.h"
#include "tests/support/scratch.h"

namespace masque::test {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;

constexpr int kSteps = 20;

// The program's run of a small model.
class KilledRun {
 public:
  KilledRun() { spill(scratch_ / "text.txt", Source().generate(3000, 1)); }
  fs::path folder(const std::string& name) const { return scratch_ / name; }

  ProcessResult train(const std::string& name, const std::string& keys,
                      const std::string& before = "") const {
    std::vector<std::string> words = {"train",       folder(name).string(),
                                      "--objective", "llada",
                                      "--data",      (scratch_ / "text.txt").string(),
                                      "--steps",     std::to_string(kSteps),
                                      "--preset",    "tiny",
                                      "--set"};
    std::istringstream all(
        "layers=1 heads=1 width=8 context=8 batch=2 dropout=0.1 ema=0.9 warmup=5 log_every=1 "
        "eval_every=10 eval_windows=2 eval_draws=2 " +
        keys);
    words.insert(words.end(), std::istream_iterator<std::string>(all), {});
    return run_program(MASQUE_BINARY, words, {}, before);
  }
  ProcessResult resume(const std::string& name, const std::string& before = "") const {
    return run_program(MASQUE_BINARY, {"train", folder(name).string(), "--resume"}, {}, before);
  }

 private:
  Scratch scratch_;
};

TEST_CASE("a run that is killed again and again ends with the bits of one that is not", "[cpu]") {
  const KilledRun runs;
  const std::string keys = "save_every=2 keep=1";
  REQUIRE(runs.train("whole", keys).code == 0);
  int kills = 0;
  bool done = false;
  ProcessResult last;
  for (int i = 0; !done && i < 100; ++i) {
    // Later and later: at first before a machine of any speed is done, at last after it.
    const std::string before = fmt::format("OMP_NUM_THREADS={} timeout -s KILL {:.4f}", 1 + i % 2,
                                           0.005 * std::pow(1.12, i));
    const bool begun = fs::exists(runs.folder("killed") / "checkpoints" / "last");
    if (!begun) fs::remove_all(runs.folder("killed"));
    last = begun ? runs.resume("killed", before) : runs.train("killed", keys, before);
    kills += last.code == 137 ? 1 : 0;
    done = last.code == 0 ||
           last.err.find(fmt::format("its {} steps are done", kSteps)) != std::string::npos;
    // timeout may return while the killed one is still on its way out.
    const bool refused = last.err.find("trains there") != std::string::npos;
    REQUIRE((done || refused || last.code == 137));
  }
  INFO(last.err);
  REQUIRE(done);
  CHECK(kills > 0);
  const fs::path a = runs.folder("whole") / "checkpoints",
                 b = runs.folder("killed") / "checkpoints";
  for (const char* link : {"best", "last"}) {
    CHECK(fs::read_symlink(a / link) == fs::read_symlink(b / link));
    for (const char* file :
         {"model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"}) {
      INFO(link << "/" << file);
      CHECK(slurp(a / link / file) == slurp(b / link / file));
    }
  }
  const auto lines = [&](const std::string& name) {
    const std::string text = slurp(runs.folder(name) / "metrics.jsonl");
    return std::count(text.begin(), text.end(), '\n');
  };
  CHECK(lines("whole") == lines("killed"));
}

TEST_CASE("a resumed run falls back to the newest whole checkpoint, and says so", "[cpu]") {
  const KilledRun runs;
  REQUIRE(runs.train("run", "save_every=10 keep=2").code == 0);
  const fs::path last = fs::canonical(runs.folder("run") / "checkpoints" / "last");
  spill(last / "optimizer.safetensors", slurp(last / "optimizer.safetensors").substr(0, 1000));
  const ProcessResult result = runs.resume("run");
  INFO(result.err);
  CHECK(result.code == 0);
  CHECK_THAT(result.err, Contains("optimizer.safetensors: truncated, 1000 bytes") &&
                             Contains("taking step 10, the newest that is whole, for \"last\"") &&
                             Contains("resumed at step 10"));
}

TEST_CASE("a second training in a run folder is refused, naming the first", "[cpu]") {
  const KilledRun runs;
  REQUIRE(runs.train("run", "save_every=20").code == 0);
  int done[2];
  REQUIRE(pipe(done) == 0);
  const pid_t holder = fork();
  if (holder == 0) {
    const RunLock lock = RunFolder(runs.folder("run")).lock();
    if (write(done[1], "x", 1) != 1) _exit(1);
    for (;;) pause();
  }
  char byte = 0;
  REQUIRE(read(done[0], &byte, 1) == 1);
  const ProcessResult refused = runs.resume("run");
  kill(holder, SIGKILL);
  REQUIRE(waitpid(holder, nullptr, 0) == holder);
  close(done[0]);
  close(done[1]);
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, Contains(fmt::format("process {} trains there", holder)));
  CHECK_THAT(runs.resume("run").err, Contains("its 20 steps are done"));
}

}  // namespace
}  // namespace masque::test
