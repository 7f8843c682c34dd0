#include "apps/sample/animation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <thread>
#include <utility>

namespace masque {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr auto kFrame = std::chrono::microseconds(33'334);
// Steps that take less are held up, as long as the generation takes less than kSeen.
constexpr auto kStep = std::chrono::milliseconds(40);
constexpr auto kSeen = std::chrono::seconds(2);
// Terminals that know synchronised output show what is between at once; others ignore it.
constexpr const char* kBeginFrame = "\033[?2026h";
constexpr const char* kEndFrame = "\033[?2026l";

}  // namespace

Animation::Animation(int fd, const Tokenizer& tokenizer, const SamplePlan& plan)
    : fd_(fd),
      tokenizer_(tokenizer),
      plan_(plan),
      colour_(wants_colour()),
      begin_(Clock::now()),
      last_frame_(begin_) {
  state_.ids = plan.start;
  state_.probabilities.assign(plan.start.size(), kNan);
  state_.fresh.assign(plan.start.size(), 0);
  draw();
}

void Animation::show(const StepReport& report) {
  ++step_;
  hold();
  for (std::size_t i = 0; i < state_.ids.size(); ++i) {
    state_.ids[i] = report.sequences[i];
    if (std::isnan(report.probabilities[i])) continue;
    state_.probabilities[i] = report.probabilities[i];
    state_.fresh[i] = 1;
  }
  pending_ = true;
  const auto now = Clock::now();
  if (now - last_frame_ < kFrame) return;
  last_frame_ = now;
  draw();
}

void Animation::hold() {
  const Clock::duration least = std::min<Clock::duration>(kStep * plan_.steps, kSeen);
  const auto now = Clock::now();
  const auto due = begin_ + least * step_ / std::max<std::int64_t>(1, plan_.steps);
  if (now >= due) return;
  std::this_thread::sleep_until(due);
  held_ += Clock::now() - now;
}

void Animation::end_in_frame() {
  if (pending_) draw();
}

void Animation::end_in_texts() {
  std::fill(state_.fresh.begin(), state_.fresh.end(), std::uint8_t{0});
  write_to(fd_, fmt::format("{}{}\033[J{}{}", kBeginFrame, to_top(terminal_size(fd_)),
                            painted_texts(state_, plan_, tokenizer_, colour_), kEndFrame));
}

std::string Animation::to_top(const TerminalSize& size) const {
  // A terminal that became narrower has folded the lines of the frame.
  std::size_t rows = 0;
  for (const std::size_t width : drawn_) {
    rows += std::max<std::size_t>(1, (width + size.columns - 1) / size.columns);
  }
  rows = std::min(rows, size.rows - 1);
  return rows == 0 ? "\r" : fmt::format("\r\033[{}A", rows);
}

void Animation::draw() {
  const TerminalSize size = terminal_size(fd_);
  const WrappedTexts texts = wrap(state_, plan_, tokenizer_, size.columns);
  const std::size_t count = texts.lines.size();
  // The caption takes a row, the cursor another; the texts what fits, around what is written next.
  const std::size_t room = size.rows > 3 ? size.rows - 2 : 1;
  const std::size_t shown = std::min(count, room);
  const std::size_t above = texts.first_blank > room / 2 ? texts.first_blank - room / 2 : 0;
  const std::size_t top = std::min(above, count - shown);
  std::vector<StyledLine> lines(texts.lines.begin() + static_cast<std::ptrdiff_t>(top),
                                texts.lines.begin() + static_cast<std::ptrdiff_t>(top + shown));
  lines.push_back(caption(
      size.columns,
      shown < count ? fmt::format("lines {} to {} of {}", top + 1, top + shown, count) : ""));

  std::string frame = kBeginFrame + to_top(size);
  if (size.columns != drawn_columns_) frame += "\033[J";
  drawn_.clear();
  for (const StyledLine& line : lines) {
    frame += painted(line, colour_);
    // To clear the rest of a full line would clear its last column.
    if (line.width < size.columns) frame += "\033[K";
    frame += '\n';
    drawn_.push_back(line.width);
  }
  write_to(fd_, fmt::format("{}\033[J{}", frame, kEndFrame));
  drawn_columns_ = size.columns;
  pending_ = false;
  std::fill(state_.fresh.begin(), state_.fresh.end(), std::uint8_t{0});
}

StyledLine Animation::caption(std::size_t columns, const std::string& place) const {
  const auto masked = std::count(state_.ids.begin(), state_.ids.end(), Tokenizer::kMask);
  const double seconds = std::chrono::duration<double>(Clock::now() - begin_ - held_).count();
  std::vector<std::pair<std::string, Style>> parts;
  parts.emplace_back(fmt::format("step {}/{}", step_, plan_.steps).substr(0, columns), kDim);
  parts.emplace_back(fmt::format("{} masked", masked), kDim);
  if (step_ > 0) {
    const auto written = static_cast<double>(plan_.n * plan_.wanted() - masked);
    parts.emplace_back(fmt::format("{:.0f} tokens/s", written / seconds), kDim);
  }
  if (!place.empty()) parts.emplace_back(place, kDim);
  if (colour_) {
    parts.emplace_back(fmt::format("p ≥ {}", kSure), style_of(kSure));
    parts.emplace_back(fmt::format("≥ {}", kLikely), style_of(kLikely));
    parts.emplace_back("below", style_of(0));
  }
  StyledLine line;
  for (const auto& [text, style] : parts) {
    StyledLine part;
    if (line.width > 0) part.put("  ", kPlain);
    part.put(text, style);
    if (line.width + part.width > columns) break;
    for (const auto& [character, its] : part.characters) line.put(character, its);
  }
  return line;
}

}  // namespace masque
