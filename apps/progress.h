// How far a command is, on stderr: a line that is written over in place on a terminal; elsewhere
// whatever lines the caller prints.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace masque {

class Progress {
 public:
  explicit Progress(std::int64_t total, std::int64_t done = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Writes the line anew, at most ten times a second. note: what stands at its end. No-op off a
  // terminal.
  void update(std::int64_t done, const std::string& note);
  // A line above it.
  void line(const std::string& text);
  bool on_terminal() const { return terminal_; }
  // "3m12s" from here to the end at the rate so far.
  std::string eta(std::int64_t done) const;
  double seconds() const;  // since it was made, less those for which the process was stopped

 private:
  std::int64_t total_, first_;
  bool terminal_;
  std::string status_;        // that stands there; empty: none
  double start_, last_draw_;  // running_seconds()
};

// A bar of done/total and the words behind it in fewer than `columns`: the bar gets what they
// leave, and where that is little they go without; what is still too long is cut.
std::string status_line(std::int64_t done, std::int64_t total, const std::string& words,
                        std::size_t columns);

// Ends the line that stands on the terminal, if one does. Safe in a signal handler.
void leave_status_line();

}  // namespace masque
