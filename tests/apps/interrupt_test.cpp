#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "apps/common.h"
#include "tests/support/catch.h"

using namespace masque;

TEST_CASE("an interrupt sent twice at once asks once; one sent a second later ends the program",
          "[cpu]") {
  const auto signal = GENERATE(SIGINT, SIGTERM);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    catch_interrupts();
    if (interrupt_signal() != 0) _exit(1);
    std::raise(signal);
    std::raise(signal);
    std::raise(signal == SIGINT ? SIGTERM : SIGINT);
    if (interrupt_signal() != signal) _exit(2);
    usleep(1'100'000);
    std::raise(signal);
    _exit(3);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  INFO("exit code " << WEXITSTATUS(status));
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == signal);
}
