#include "apps/sample/display.h"

#include <fmt/format.h>
#include <unistd.h>

#include <span>

#include "apps/common.h"
#include "apps/sample/animation.h"
#include "apps/terminal.h"

namespace masque {
namespace {

class Display {
 public:
  Display(Showing showing, const SamplePlan& plan, const Run& run)
      : showing_(showing), plan_(plan), run_(run) {
    if (showing == Showing::in_texts) animation_.emplace(STDOUT_FILENO, run.tokenizer, plan);
    if (showing == Showing::in_frame) animation_.emplace(STDERR_FILENO, run.tokenizer, plan);
    if (showing == Showing::bar && !on_gpu(run.transformer->device())) bar_.emplace(plan.steps);
  }

  bool sees_steps() const { return animation_ || bar_ || showing_ == Showing::states; }

  void show(const StepReport& report) {
    ++step_;
    if (animation_) animation_->show(report);
    if (bar_) bar_->update(step_, "steps");
    if (showing_ == Showing::states) print_state(report.sequences);
  }

  // After the last step. Returns how long it held up the steps.
  double end() {
    bar_.reset();
    if (showing_ == Showing::in_texts) animation_->end_in_texts();
    if (showing_ == Showing::in_frame) animation_->end_in_frame();
    return animation_ ? animation_->held_seconds() : 0;
  }

 private:
  void print_state(std::span<const std::int32_t> sequences) const {
    std::string text = fmt::format("step {}\n", step_);
    const auto T = static_cast<std::size_t>(plan_.T);
    for (std::size_t begin = 0; begin < sequences.size(); begin += T) {
      text +=
          fmt::format("{}\n{}\n", with_blanks(run_.tokenizer, sequences.subspan(begin, T)), kRule);
    }
    write_to(STDERR_FILENO, text);
  }

  Showing showing_;
  const SamplePlan& plan_;
  const Run& run_;
  std::int64_t step_ = 0;
  std::optional<Animation> animation_;
  std::optional<Progress> bar_;
};

}  // namespace

Showing choose_showing(std::optional<bool> watch, bool json) {
  const bool in_place = is_terminal(STDOUT_FILENO) && !json;
  if (!watch.value_or(in_place)) return Showing::bar;
  if (in_place) return Showing::in_texts;
  return is_terminal(STDERR_FILENO) ? Showing::in_frame : Showing::states;
}

Samples write_samples(const SamplePlan& plan, Run& run, Showing showing, bool json,
                      Recording* recording, const std::function<bool()>& stop) {
  Display display(showing, plan, run);
  std::int64_t step = 0;
  Watch watch;
  if (display.sees_steps() || recording != nullptr || stop) {
    watch = [&](const StepReport& report) {
      ++step;
      if (recording != nullptr) recording->add(report);
      display.show(report);
      if (stop && stop()) throw Stopped{step};
    };
  }
  Samples samples{plan, generate(plan, run, watch)};
  samples.result.seconds -= display.end();
  if (showing == Showing::in_texts || json) return samples;
  for (std::int64_t i = 0; i < plan.n; ++i) {
    if (i > 0) fmt::print("{}\n", kRule);
    fmt::print("{}\n", run.tokenizer.decode(samples.ids(i)));
  }
  std::fflush(stdout);
  return samples;
}

}  // namespace masque
