// A program on a pseudo-terminal, and a screen that shows what it writes there.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

namespace masque::test {

struct TerminalSetup {
  unsigned short columns = 30, rows = 12;
  std::string kind = "xterm-256color";  // TERM
  bool colour = true;                   // else NO_COLOR is set
  bool piped = false;  // stdout goes nowhere: stdin and stderr alone are the terminal
};

class TerminalProgram {
 public:
  TerminalProgram(const std::string& program, const std::vector<std::string>& arguments,
                  const TerminalSetup& setup = {});
  TerminalProgram(const TerminalProgram&) = delete;
  TerminalProgram& operator=(const TerminalProgram&) = delete;
  ~TerminalProgram();  // kills what still runs

  void type(const std::string& keys) const;
  void resize(unsigned short columns, unsigned short rows) const;
  void signal(int number) const;

  // Reads until all that came since `from` holds `text`; throws where the program ends before or a
  // minute passes. Returns where the text ends in received().
  std::size_t read_until(const std::string& text, std::size_t from = 0);
  // Reads what has come, until nothing does for a fifth of a second.
  void drain();
  // Reads to the end. Returns the exit code, or 128 + the signal that ended it.
  int wait();

  const std::string& received() const { return received_; }
  double seconds() const;  // from the first byte to the last

 private:
  bool read_more(int milliseconds);  // false: nothing came, or the end

  int terminal_ = -1;
  pid_t child_ = -1;
  bool ended_ = false;
  std::string received_;
  std::chrono::steady_clock::time_point first_, last_;
};

// What a terminal shows: text, \r and \n, wrapping, cursor up, clearing to the end of a line or of
// the screen, colours. Throws on what it does not know.
class Screen {
 public:
  Screen(std::size_t columns, std::size_t rows);
  void write(const std::string& bytes);
  // Lines that became too long fold, as most terminals have it.
  void resize(std::size_t columns);

  // All lines from the first that scrolled away to the cursor's, without blanks at their ends.
  std::string text() const;
  bool plain() const { return style_.empty(); }  // no colour left behind

 private:
  void put(char32_t character);
  void line_feed();
  void obey(const std::string& parameters, char command);
  std::size_t top() const;  // the line of the screen's first row

  std::size_t columns_, rows_, row_ = 0, column_ = 0;  // row of lines_
  bool wrap_due_ = false;                              // the last column was written
  std::vector<std::u32string> lines_;                  // also those that scrolled away
  std::string style_;
};

}  // namespace masque::test
