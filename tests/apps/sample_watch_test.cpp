// masque sample --watch on a terminal: what one receives, through a pseudo-terminal.
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "models/utf8.h"
#include "tests/support/small_run.h"

namespace masque::test {
namespace {

constexpr unsigned short kRows = 12, kColumns = 30;

// All that the program writes to a terminal of 12 rows of 30, which stderr is and, unless
// `piped`, stdout.
std::string on_terminal(const std::vector<std::string>& arguments, bool piped = false,
                        const char* no_colour = nullptr) {
  winsize size{};
  size.ws_row = kRows;
  size.ws_col = kColumns;
  int terminal = -1;
  const pid_t child = forkpty(&terminal, nullptr, nullptr, &size);
  REQUIRE(child >= 0);
  if (child == 0) {
    setenv("TERM", "xterm-256color", 1);
    setenv("OMP_NUM_THREADS", "1", 1);
    if (no_colour != nullptr) {
      setenv("NO_COLOR", no_colour, 1);
    } else {
      unsetenv("NO_COLOR");
    }
    if (piped && freopen("/dev/null", "w", stdout) == nullptr) _exit(99);
    std::vector<char*> words = {const_cast<char*>(MASQUE_BINARY)};
    for (const std::string& argument : arguments) {
      words.push_back(const_cast<char*>(argument.c_str()));
    }
    words.push_back(nullptr);
    execv(MASQUE_BINARY, words.data());
    _exit(98);
  }
  std::string received;
  char buffer[4096];
  for (ssize_t count; (count = read(terminal, buffer, sizeof buffer)) > 0;) {
    received.append(buffer, static_cast<std::size_t>(count));
  }
  close(terminal);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  INFO(received);
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == 0);
  return received;
}

// The pieces from one cursor home to the next, the first of them what came before.
std::vector<std::string> frames(const std::string& received) {
  const std::string home = "\033[H";
  std::vector<std::string> pieces;
  std::size_t begin = 0;
  for (std::size_t at = 0; (at = received.find(home, begin)) != std::string::npos;) {
    pieces.push_back(received.substr(begin, at - begin));
    begin = at + home.size();
  }
  pieces.push_back(received.substr(begin));
  return pieces;
}

// A frame's text, without control sequences.
std::u32string shown(const std::string& frame) {
  std::string text;
  for (std::size_t i = 0; i < frame.size(); ++i) {
    if (frame[i] == '\033') {
      while (i < frame.size() && std::isalpha(static_cast<unsigned char>(frame[i])) == 0) ++i;
    } else if (frame[i] != '\r') {
      text += frame[i];
    }
  }
  return decode_utf8(text);
}

std::ptrdiff_t lines_of(const std::u32string& text) {
  return std::count(text.begin(), text.end(), U'\n');
}

TEST_CASE("watch shows each step in place on a terminal", "[sample][cpu]") {
  const SmallRun run("llada");
  const std::vector<std::string> arguments = {"sample", run.path(), "--watch", "--prompt", "the "};
  const std::vector<std::string> pieces = frames(on_terminal(arguments));
  // What was there scrolls away, a frame or more, the texts in place of the last.
  REQUIRE(pieces.size() >= 3);
  CHECK(std::count(pieces[0].begin(), pieces[0].end(), '\n') >= kRows);
  const std::u32string first = shown(pieces[1]);
  CHECK(encode_utf8(first).substr(0, 24) == "step 1 of 12, 11 to writ");
  CHECK(std::count(first.begin(), first.end(), U'\u2591') == 11);
  CHECK(first.find(U"the ") != std::u32string::npos);
  CHECK(pieces[1].find("\033[0;2m\u2591") != std::string::npos);
  CHECK(pieces[1].find("\033[0;1;3") != std::string::npos);
  CHECK(pieces[1].find("\033[2J") == std::string::npos);
  CHECK(pieces.back().find("the ") != std::string::npos);
  CHECK(pieces.back().find("step 1 ") == std::string::npos);

  const std::string plain = on_terminal(arguments, false, "1");
  CHECK(plain.find("\033[H") != std::string::npos);
  CHECK(plain.find("m\u2591") == std::string::npos);
  CHECK(plain.find("\033[0") == std::string::npos);
}

TEST_CASE("watch keeps within the terminal, and its last frame is whole", "[sample][cpu]") {
  const SmallRun run("llada", {"context=48"});
  const std::vector<std::string> pieces = frames(
      on_terminal({"sample", run.path(), "--watch", "--n", "7", "--strategy", "random"}, true));
  REQUIRE(pieces.size() >= 2);
  for (std::size_t i = 1; i < pieces.size(); ++i) {
    const std::u32string text = shown(pieces[i]);
    // The line of the result comes after the last frame.
    const std::ptrdiff_t extra = i + 1 == pieces.size() ? 1 : 0;
    CHECK(lines_of(text) <= kRows - 1 + extra);
    std::size_t begin = 0;
    for (std::size_t at; (at = text.find(U'\n', begin)) != std::u32string::npos; begin = at + 1) {
      const std::u32string line = text.substr(begin, at - begin);
      if (line.substr(0, 7) != U"random,") CHECK(line.size() <= kColumns);
    }
  }
  const std::u32string last = shown(pieces.back());
  CHECK(encode_utf8(last).substr(0, 24) == "step 48 of 48, 0 to writ");
  CHECK(last.find(U'\u2591') == std::u32string::npos);
  CHECK(encode_utf8(last).find("lines more") != std::string::npos);
}

TEST_CASE("watch shows an autoregressive run, without its [START]", "[sample][cpu]") {
  const SmallRun run("ar");
  const std::vector<std::string> pieces =
      frames(on_terminal({"sample", run.path(), "--watch", "--prompt", "the "}, true));
  REQUIRE(pieces.size() >= 2);
  const std::u32string first = shown(pieces[1]);
  CHECK(std::count(first.begin(), first.end(), U'\u2591') == 11);
  CHECK(first.find(U"\nthe ") != std::u32string::npos);
}

}  // namespace
}  // namespace masque::test
