// The line that shows how far a training is: what it says, and what a terminal receives of it.
#include "apps/progress.h"

#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "apps/common.h"
#include "models/source.h"
#include "models/utf8.h"
#include "tests/support/catch.h"
#include "tests/support/scratch.h"

namespace masque::test {
namespace {

using Catch::Contains;

TEST_CASE("the line of a terminal fits into it", "[cpu]") {
  const std::string words = "30/120  ETA 9s  loss 2.5";  // 24 columns
  CHECK(status_line(30, 120, words, 80) == "██████░░░░░░░░░░░░░░░░░░ " + words);
  CHECK(status_line(30, 120, words, 38) == "██░░░░░░░░ " + words);
  CHECK(status_line(30, 120, words, 36) == "██░░░░░░ " + words);
  CHECK(status_line(30, 120, words, 35) == words);
  CHECK(status_line(30, 120, words, 27) == words);
  CHECK(status_line(30, 120, words, 26) == "30/120  ETA 9s  loss 2.");
  CHECK(status_line(30, 120, "val ≤ 2.5", 8) == "val ≤");
  CHECK(status_line(30, 120, "val ≤ 2.5", 7) == "val ");
  CHECK(status_line(30, 120, words, 3).empty());
  CHECK(status_line(30, 120, words, 0).empty());
  CHECK(status_line(0, 0, "", 14) == "░░░░░░░░░░ ");
}

// What a terminal shows of what was written to it, as much of one as Progress uses.
// Carriage return, line feed, ESC [ K (erase the rest of the row), UTF-8 of one column a character;
// wraps at its width. Rows scroll off nowhere: all that were ever written are there.
class Rows {
 public:
  explicit Rows(std::size_t columns) : columns_(columns) {}

  void write(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
      if (text.substr(i, 3) == "\033[K") {
        rows_[row_].resize(std::min(rows_[row_].size(), column_));
        i += 3;
        continue;
      }
      std::size_t end = i + 1;
      while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
      put(std::string(text.substr(i, end - i)));
      i = end;
    }
  }

  // As text, without blanks at the end of a row, or blank rows at the end.
  std::vector<std::string> text() const {
    std::vector<std::string> shown;
    for (const std::vector<std::string>& cells : rows_) {
      std::string& row = shown.emplace_back();
      for (const std::string& cell : cells) row += cell;
      row.erase(row.find_last_not_of(' ') + 1);
    }
    while (!shown.empty() && shown.back().empty()) shown.pop_back();
    return shown;
  }

 private:
  void put(const std::string& character) {
    if (character == "\r") {
      column_ = 0;
    } else if (character == "\n") {
      next_row();
    } else {
      if (column_ == columns_) {
        next_row();
        column_ = 0;
      }
      std::vector<std::string>& row = rows_[row_];
      if (row.size() <= column_) row.resize(column_ + 1, " ");
      row[column_++] = character;
    }
  }
  void next_row() {
    if (++row_ == rows_.size()) rows_.emplace_back();
  }

  std::size_t columns_, row_ = 0, column_ = 0;
  std::vector<std::vector<std::string>> rows_ = std::vector<std::vector<std::string>>(1);
};

// A training of a very small model without end, whose stderr is a terminal.
class WatchedTraining {
 public:
  WatchedTraining(unsigned short columns, const std::string& run, const char* kind = "xterm") {
    spill(folder_ / "text.txt", Source().generate(3000, 1));
    std::vector<std::string> words = {
        "masque", "train",  (folder_ / run).string(),        "--objective",
        "llada",  "--data", (folder_ / "text.txt").string(), "--preset",
        "tiny",   "--set"};
    for (const char* key : {"layers=1", "heads=1", "width=8", "context=8", "batch=2",
                            "steps=100000000", "log_every=1000", "eval_every=500",
                            "save_every=100000000", "eval_windows=2", "eval_draws=2"}) {
      words.emplace_back(key);
    }
    winsize size{};
    size.ws_row = 24;
    size.ws_col = columns;
    child_ = forkpty(&terminal_, nullptr, nullptr, &size);
    REQUIRE(child_ >= 0);
    if (child_ > 0) return;
    setenv("TERM", kind, 1);
    setenv("OMP_NUM_THREADS", "1", 1);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    execv(MASQUE_BINARY, arguments.data());
    _exit(98);
  }
  WatchedTraining(const WatchedTraining&) = delete;
  ~WatchedTraining() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
    close(terminal_);
  }

  // Reads on until `wanted` has come so many times since the last call.
  std::string receive(const std::string& wanted, std::size_t times) {
    const std::size_t begin = received_.size();
    std::size_t from = begin, found = 0;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (found < times && std::chrono::steady_clock::now() < end && more()) {
      for (std::size_t at = 0; (at = received_.find(wanted, from)) != std::string::npos;) {
        from = at + wanted.size();
        ++found;
      }
    }
    INFO(received_);
    REQUIRE(found >= times);
    return received_.substr(begin);
  }
  void resize(unsigned short columns) const {
    winsize size{};
    size.ws_row = 24;
    size.ws_col = columns;
    REQUIRE(ioctl(terminal_, TIOCSWINSZ, &size) == 0);
  }
  // Ctrl-C, and all that comes until the end. Its exit code.
  int interrupt() {
    REQUIRE(::write(terminal_, "\003", 1) == 1);
    while (more()) {
    }
    int status = 0;
    REQUIRE(waitpid(child_, &status, 0) == child_);
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  const std::string& received() const { return received_; }

 private:
  bool more() {
    pollfd ready{terminal_, POLLIN, 0};
    if (poll(&ready, 1, 20'000) <= 0) return false;
    char buffer[4096];
    const ssize_t count = read(terminal_, buffer, sizeof buffer);
    if (count <= 0) return false;
    received_.append(buffer, static_cast<std::size_t>(count));
    return true;
  }

  Scratch folder_;
  int terminal_ = -1;
  pid_t child_ = -1;
  std::string received_;
};

// What was written between a carriage return and the erasing of the row's rest behind it.
std::vector<std::u32string> drawn(const std::string& received) {
  std::vector<std::u32string> lines;
  for (std::size_t at = 0; (at = received.find('\r', at)) != std::string::npos; ++at) {
    const std::size_t end = received.find_first_of("\r\n\033", at + 1);
    if (end == std::string::npos) break;
    if (received[end] == '\033')
      lines.push_back(decode_utf8(received.substr(at + 1, end - at - 1)));
  }
  return lines;
}

TEST_CASE("a training's line is written over in place, and lines above it stay whole", "[cpu]") {
  WatchedTraining training(100, "run");
  training.receive("nats a token", 2);
  training.receive("tokens/s\033[K", 6);
  CHECK(training.interrupt() == 130);
  const std::string received = training.received();
  INFO(received);
  // Nothing is erased before its successor stands there, but the line itself at the very end.
  const std::size_t blank = received.find("\r\033[K");
  CHECK((blank == std::string::npos || blank + 4 == received.size()));

  Rows shown(100);
  shown.write(received);
  const std::vector<std::string> rows = shown.text();
  const auto count = [&](const std::string& words) {
    return std::count_if(rows.begin(), rows.end(), [&](const std::string& row) {
      return row.find(words) != std::string::npos;
    });
  };
  CHECK(count("░") == 0);
  CHECK(count("ETA") == 0);
  CHECK(count("nats a token") == count("  sample: "));
  CHECK(count("nats a token") > 0);
  REQUIRE(rows.size() > 2);
  CHECK_THAT(rows[rows.size() - 2], Catch::StartsWith("interrupted and saved at step "));
  CHECK_THAT(rows.back(), Catch::StartsWith("go on with: masque train "));
  const std::string all = received.substr(received.rfind("loss "));
  CHECK_THAT(all, Contains("  val ≤ ") && Contains(" tokens/s"));
}

TEST_CASE("a training's line follows the width of its terminal", "[cpu]") {
  WatchedTraining training(70, "run");
  const auto longest = [](const std::string& received) {
    std::size_t length = 0;
    for (const std::u32string& line : drawn(received)) {
      if (line.find(U"ETA") != std::u32string::npos) length = std::max(length, line.size());
    }
    return length;
  };
  const std::size_t first = longest(training.receive("ETA", 30));
  CHECK(first > 20);
  CHECK(first <= 67);
  training.resize(30);
  training.receive("ETA", 3);  // those under way
  const std::size_t narrow = longest(training.receive("ETA", 30));
  CHECK(narrow > 10);
  CHECK(narrow <= 27);
  training.resize(200);
  training.receive("ETA", 3);
  CHECK(longest(training.receive("ETA", 30)) > 70);
  CHECK(training.interrupt() == 130);
}

TEST_CASE("a terminal that cannot move its cursor gets the lines of a pipe", "[cpu]") {
  WatchedTraining training(80, "run", "dumb");
  training.receive("grad norm", 2);
  CHECK(training.interrupt() == 130);
  CHECK_THAT(training.received(), !Contains("\033") && !Contains("░"));
}

TEST_CASE("the clock stands still while the process is stopped", "[cpu]") {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    leave_out_stops();
    const double start = running_seconds();
    std::raise(SIGSTOP);
    const double stopped = running_seconds() - start;
    usleep(50'000);
    const double ran = running_seconds() - start - stopped;
    _exit(stopped < 0 || stopped > 0.5 ? 1 : ran < 0.04 ? 2 : 0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, WUNTRACED) == child);
  REQUIRE(WIFSTOPPED(status));
  usleep(1'000'000);
  kill(child, SIGCONT);
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace masque::test
