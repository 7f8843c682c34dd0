#include "models/run_lock.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "kernels/backend.h"
#include "models/checkpoint.h"
#include "tests/support/catch.h"
#include "tests/support/scratch.h"

using namespace masque;
using Catch::Contains;
using test::Scratch;

namespace {

// A process that runs `work` and then waits to be killed. Returns once the work is done.
template <class Work>
pid_t start(Work work) {
  int done[2];
  REQUIRE(pipe(done) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    [[maybe_unused]] const auto held = work();
    if (write(done[1], "x", 1) != 1) _exit(1);
    for (;;) pause();
  }
  close(done[1]);
  char byte = 0;
  REQUIRE(read(done[0], &byte, 1) == 1);
  close(done[0]);
  return child;
}

void kill_and_wait(pid_t child) {
  kill(child, SIGKILL);
  REQUIRE(waitpid(child, nullptr, 0) == child);
}

}  // namespace

TEST_CASE("a run folder is one process's, and free again when that one is killed", "[cpu]") {
  const Scratch scratch;
  const RunFolder run(scratch / "run");
  const pid_t child = start([&] { return run.create(); });
  CHECK_THROWS_WITH(run.lock(), Contains(run.path().string()) &&
                                    Contains(fmt::format("process {} trains there", child)));
  CHECK_THROWS_AS(run.create(), InputError);  // still empty, but not ours
  kill_and_wait(child);
  {
    const RunLock lock = run.create();
    const pid_t other = start([&] {
      try {
        run.lock();
      } catch (const InputError&) {
        return true;
      }
      _exit(1);
    });
    kill_and_wait(other);
  }
  run.lock();
  CHECK_THROWS_WITH(RunLock(scratch / "none/.lock"), Contains("cannot lock") && Contains("none"));
}
