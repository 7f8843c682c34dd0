// masque sample --interactive: a run loaded once, a prompt a line, and commands that begin with /.
#pragma once

#include <optional>
#include <string>

#include "apps/sample/plan.h"
#include "apps/sample/recording.h"
#include "models/run.h"

namespace masque {

class Session {
 public:
  // request: the settings to begin with. watch: as choose_showing.
  Session(Run& run, SampleRequest request, std::optional<bool> watch);

  // Reads lines of stdin to its end or /quit. What is wrong with one is told on stderr.
  void take_lines();

 private:
  struct Written {
    SampleRequest request;
    Samples samples;
    Recording recording;
  };

  bool take(const std::string& line);                                  // false: /quit
  bool obey(const std::string& command, const std::string& argument);  // false: /quit
  void set(const std::string& name, const std::string& value);
  void show_settings() const;
  void watch(const std::string& value);
  void again();
  void write_html(const std::string& file) const;
  void write(const std::string& prompt, const std::string& text_template);

  Run& run_;
  bool causal_, typed_;  // typed: on a terminal, where Ctrl-C stops what is being written
  SampleRequest at_first_, request_;
  std::optional<bool> watch_;
  bool any_ = false;               // texts were asked for: prompt and template of request_
  std::int64_t noted_length_ = 0;  // of which it is told that the model knows longer texts
  std::optional<Written> last_;
};

}  // namespace masque
