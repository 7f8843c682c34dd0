// Lines that are typed, or that a pipe sends.
#pragma once

#include <memory>
#include <optional>
#include <string>

namespace masque {

class LineReader {
 public:
  virtual ~LineReader() = default;
  // The next line without its end; nothing where the input ends. Ctrl-C gives up a line half typed.
  virtual std::optional<std::string> read() = 0;
};

// On a terminal it prompts, and where the build has libedit, lines can be edited and arrow keys
// bring back those before.
std::unique_ptr<LineReader> make_line_reader();

}  // namespace masque
