// A generation on a terminal, where its texts will stand: what is written so far, blanks as blocks,
// and a caption below. A frame is one write, at most 30 a second, and leaves the cursor below it
// and no colour behind, so that whatever ends the program leaves a terminal as it should be.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "apps/sample/plan.h"
#include "apps/sample/styled_text.h"
#include "apps/terminal.h"
#include "models/tokenizer.h"

namespace masque {

class Animation {
 public:
  // Shows the texts as they begin.
  Animation(int fd, const Tokenizer& tokenizer, const SamplePlan& plan);

  // Draws the step where a frame is due; what steps in between wrote is fresh in the next. Holds up
  // a generation that is too quick to be seen.
  void show(const StepReport& report);
  // The texts alone, whole, in place of the last frame.
  void end_in_texts();
  // Or the last frame as the last step left it.
  void end_in_frame();
  // How long steps were held up, in all.
  double held_seconds() const { return std::chrono::duration<double>(held_).count(); }

 private:
  using Clock = std::chrono::steady_clock;

  void hold();
  void draw();
  StyledLine caption(std::size_t columns, const std::string& place) const;
  // From below the last frame to its first row, on a terminal of this size.
  std::string to_top(const TerminalSize& size) const;

  int fd_;
  const Tokenizer& tokenizer_;
  const SamplePlan& plan_;
  bool colour_;
  TextState state_;
  std::int64_t step_ = 0;
  std::vector<std::size_t> drawn_;  // widths of the lines of the last frame
  std::size_t drawn_columns_ = 0;   // of the terminal it was drawn for
  bool pending_ = true;
  Clock::time_point begin_, last_frame_;
  Clock::duration held_{};
};

}  // namespace masque
