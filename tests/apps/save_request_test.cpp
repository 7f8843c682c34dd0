// SIGUSR1 to a training: it saves and goes on.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "apps/common.h"
#include "models/checkpoint.h"
#include "models/source.h"
#include "tests/support/catch.h"
#include "tests/support/scratch.h"

namespace masque::test {
namespace {

namespace fs = std::filesystem;

template <class Condition>
bool comes_true(Condition condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

TEST_CASE("a request to save is answered once", "[cpu]") {
  catch_save_requests();
  CHECK_FALSE(take_save_request());
  raise(SIGUSR1);
  raise(SIGUSR1);
  CHECK(take_save_request());
  CHECK_FALSE(take_save_request());
  CHECK(interrupt_signal() == 0);
  signal(SIGUSR1, SIG_DFL);
}

TEST_CASE("SIGUSR1 saves a training, which goes on", "[cpu]") {
  const Scratch scratch;
  const std::string text = (scratch / "text.txt").string(), run = (scratch / "run").string(),
                    log = (scratch / "log").string();
  spill(text, Source().generate(3000, 1));
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    setenv("OMP_NUM_THREADS", "1", 1);
    // So that it starts itself anew.
    unsetenv("GOMP_SPINCOUNT");
    unsetenv("OMP_WAIT_POLICY");
    const int to = open(log.c_str(), O_WRONLY | O_CREAT, 0600);
    dup2(to, STDERR_FILENO);
    execl(MASQUE_BINARY, "masque", "train", run.c_str(), "--objective", "ar", "--data",
          text.c_str(), "--preset", "tiny", "--set", "layers=1", "heads=1", "width=8", "context=8",
          "batch=2", "steps=100000000", "log_every=1", "eval_every=100000000",
          "save_every=100000000", nullptr);
    _exit(98);
  }
  const RunFolder folder(run);
  const auto said = [&](const std::string& words) {
    return slurp(log).find(words) != std::string::npos;
  };
  CHECK(comes_true([&] { return said("grad norm"); }));
  CHECK(folder.steps().empty());
  CHECK(slurp(fmt::format("/proc/{}/comm", child)) == "masque\n");  // for pkill -USR1 masque
  for (std::size_t times = 1; times <= 2; ++times) {
    kill(child, SIGUSR1);
    CHECK(comes_true([&] { return folder.steps().size() == times; }));
  }
  const std::int64_t last = folder.steps().back();
  CHECK(said(fmt::format("step {}: saving, as SIGUSR1 asked", last)));
  CHECK(comes_true([&] { return said(fmt::format("step {:>6}/", last + 100)); }));
  kill(child, SIGINT);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  INFO(slurp(log).substr(0, 2000));
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 130);
  CHECK(folder.whole_checkpoint(std::to_string(last), Scope::everything).note.empty());
}

}  // namespace
}  // namespace masque::test
