#include "tests/support/terminal.h"

#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "models/utf8.h"

namespace masque::test {
namespace {

using Clock = std::chrono::steady_clock;

winsize size_of(unsigned short columns, unsigned short rows) {
  winsize size{};
  size.ws_col = columns;
  size.ws_row = rows;
  return size;
}

// Columns: of the wide characters those that tests write.
std::size_t columns_of(char32_t character) {
  const bool wide = (character >= 0x2e80 && character < 0xa4d0) ||
                    (character >= 0xac00 && character < 0xd7a4) ||
                    (character >= 0x1f300 && character < 0x1fb00);
  return wide ? 2 : 1;
}

[[noreturn]] void become(const std::string& program, const std::vector<std::string>& arguments,
                         const TerminalSetup& setup) {
  setenv("TERM", setup.kind.c_str(), 1);
  setenv("OMP_NUM_THREADS", "1", 1);
  if (setup.colour) {
    unsetenv("NO_COLOR");
  } else {
    setenv("NO_COLOR", "1", 1);
  }
  if (setup.piped && freopen("/dev/null", "w", stdout) == nullptr) _exit(99);
  std::vector<char*> words = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) {
    words.push_back(const_cast<char*>(argument.c_str()));
  }
  words.push_back(nullptr);
  execv(program.c_str(), words.data());
  _exit(98);
}

}  // namespace

TerminalProgram::TerminalProgram(const std::string& program,
                                 const std::vector<std::string>& arguments,
                                 const TerminalSetup& setup) {
  const winsize size = size_of(setup.columns, setup.rows);
  child_ = forkpty(&terminal_, nullptr, nullptr, &size);
  if (child_ < 0) throw std::runtime_error("forkpty failed");
  if (child_ == 0) become(program, arguments, setup);
  first_ = last_ = Clock::now();
}

TerminalProgram::~TerminalProgram() {
  if (!ended_) {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }
  close(terminal_);
}

void TerminalProgram::type(const std::string& keys) const {
  if (::write(terminal_, keys.data(), keys.size()) != static_cast<ssize_t>(keys.size())) {
    throw std::runtime_error("cannot type into the terminal");
  }
}

void TerminalProgram::resize(unsigned short columns, unsigned short rows) const {
  const winsize size = size_of(columns, rows);
  if (ioctl(terminal_, TIOCSWINSZ, &size) != 0) throw std::runtime_error("cannot resize");
}

void TerminalProgram::signal(int number) const {
  kill(child_, number);
}

bool TerminalProgram::read_more(int milliseconds) {
  pollfd poll_for{terminal_, POLLIN, 0};
  if (::poll(&poll_for, 1, milliseconds) <= 0) return false;
  char buffer[4096];
  const ssize_t count = ::read(terminal_, buffer, sizeof buffer);
  if (count <= 0) return false;  // EIO: no one has it open
  last_ = Clock::now();
  if (received_.empty()) first_ = last_;
  received_.append(buffer, static_cast<std::size_t>(count));
  return true;
}

std::size_t TerminalProgram::read_until(const std::string& text, std::size_t from) {
  for (;;) {
    const std::size_t at = received_.find(text, from);
    if (at != std::string::npos) return at + text.size();
    if (!read_more(60'000)) throw std::runtime_error("no \"" + text + "\" in: " + received_);
  }
}

void TerminalProgram::drain() {
  while (read_more(200)) {
  }
}

int TerminalProgram::wait() {
  while (read_more(60'000)) {
  }
  int status = 0;
  waitpid(child_, &status, 0);
  ended_ = true;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

double TerminalProgram::seconds() const {
  return std::chrono::duration<double>(last_ - first_).count();
}

Screen::Screen(std::size_t columns, std::size_t rows) : columns_(columns), rows_(rows), lines_(1) {}

void Screen::write(const std::string& bytes) {
  const std::u32string characters = decode_utf8(bytes);
  for (std::size_t i = 0; i < characters.size(); ++i) {
    const char32_t character = characters[i];
    if (character == U'\r') {
      column_ = 0;
      wrap_due_ = false;
    } else if (character == U'\n') {
      line_feed();
    } else if (character == U'\033' && characters.at(i + 1) == U'[') {
      std::string parameters;
      for (i += 2; characters.at(i) < 0x40; ++i) parameters += static_cast<char>(characters[i]);
      obey(parameters, static_cast<char>(characters[i]));
    } else if (character < 0x20) {
      throw std::runtime_error("a screen does not know " + describe(character));
    } else {
      put(character);
    }
  }
}

void Screen::put(char32_t character) {
  const std::size_t width = columns_of(character);
  if (wrap_due_ || column_ + width > columns_) {
    line_feed();
    column_ = 0;
  }
  std::u32string& line = lines_[row_];
  line.resize(std::max(line.size(), column_ + width), U' ');
  line[column_] = character;
  if (width == 2) line[column_ + 1] = U'\0';  // the right half
  column_ += width;
  wrap_due_ = column_ == columns_;
  if (wrap_due_) --column_;
}

void Screen::line_feed() {
  ++row_;
  if (row_ == lines_.size()) lines_.emplace_back();
  wrap_due_ = false;
}

void Screen::obey(const std::string& parameters, char command) {
  const std::size_t number = std::max(1, std::atoi(parameters.c_str()));
  if (command == 'A') {
    row_ = std::max(top(), row_ - std::min(row_, number));
    wrap_due_ = false;
  } else if (command == 'K' && parameters.empty()) {
    lines_[row_].resize(std::min(lines_[row_].size(), column_));
  } else if (command == 'J' && parameters.empty()) {
    lines_[row_].resize(std::min(lines_[row_].size(), column_));
    lines_.resize(row_ + 1);
  } else if (command == 'm') {
    style_ = parameters == "0" ? "" : parameters;
  } else if (parameters != "?2026" || (command != 'h' && command != 'l')) {
    throw std::runtime_error("a screen does not know CSI " + parameters + command);
  }
}

std::size_t Screen::top() const {
  return lines_.size() > rows_ ? lines_.size() - rows_ : 0;
}

void Screen::resize(std::size_t columns) {
  std::vector<std::u32string> folded;
  std::size_t row = 0;
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    std::size_t begin = 0;
    do {
      folded.push_back(lines_[i].substr(begin, columns));
      begin += columns;
    } while (begin < lines_[i].size());
    if (i == row_) row = folded.size() - 1;
  }
  lines_ = std::move(folded);
  row_ = row;
  columns_ = columns;
}

std::string Screen::text() const {
  std::string text;
  for (std::size_t i = 0; i <= row_; ++i) {
    std::u32string line = lines_[i];
    std::erase(line, U'\0');
    line.erase(line.find_last_not_of(U' ') + 1);
    text += encode_utf8(line) + (i < row_ ? "\n" : "");
  }
  return text;
}

}  // namespace masque::test
