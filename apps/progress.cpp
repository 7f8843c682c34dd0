#include "apps/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string_view>

#include "apps/common.h"
#include "apps/terminal.h"
#include "models/utf8.h"

namespace masque {
namespace {

constexpr std::size_t kWidestBar = 24, kNarrowestBar = 8;
constexpr std::size_t kFreeColumns = 3;       // at the end: the last, and a ^C echoed there
constexpr const char* kEraseRest = "\033[K";  // of the row, from the cursor on
constexpr double kBetweenDraws = 0.1;         // seconds

std::atomic<bool> status_stands = false;

}  // namespace

std::string status_line(std::int64_t done, std::int64_t total, const std::string& words,
                        std::size_t columns) {
  const std::size_t room = columns - std::min(columns, kFreeColumns),
                    used = count_code_points(words) + 1;
  std::string line;
  if (room >= used + kNarrowestBar) {
    const std::size_t width = std::min(kWidestBar, room - used);
    const auto filled = static_cast<std::size_t>(static_cast<std::int64_t>(width) * done /
                                                 std::max<std::int64_t>(1, total));
    for (std::size_t i = 0; i < width; ++i) line += i < filled ? "█" : "░";
    line += " ";
  }
  line += words;
  while (count_code_points(line) > room) {
    while (continues_character(line.back())) line.pop_back();
    line.pop_back();
  }
  return line;
}

void leave_status_line() {
  if (status_stands.exchange(false)) write_to(STDERR_FILENO, "\n");
}

Progress::Progress(std::int64_t total, std::int64_t done)
    : total_(total),
      first_(done),
      terminal_(is_terminal(STDERR_FILENO)),
      start_(running_seconds()),
      last_draw_(start_) {}

Progress::~Progress() {
  if (status_.empty()) return;
  write_to(STDERR_FILENO, fmt::format("\r{}", kEraseRest));
  status_stands = false;
}

double Progress::seconds() const {
  return running_seconds() - start_;
}

std::string Progress::eta(std::int64_t done) const {
  if (done <= first_) return "?";
  return duration(seconds() / static_cast<double>(done - first_) *
                  static_cast<double>(total_ - done));
}

void Progress::update(std::int64_t done, const std::string& note) {
  if (!terminal_) return;
  const double now = running_seconds();
  if (!status_.empty() && done < total_ && now - last_draw_ < kBetweenDraws) return;
  last_draw_ = now;
  const std::string words = fmt::format("{}/{}  ETA {}  {}", done, total_, eta(done), note);
  status_ = status_line(done, total_, words, terminal_size(STDERR_FILENO).columns);
  write_to(STDERR_FILENO, fmt::format("\r{}{}", status_, kEraseRest));
  status_stands = true;
}

void Progress::line(const std::string& text) {
  if (status_.empty()) return write_to(STDERR_FILENO, text + "\n");
  // A row that the text fills needs no erasing, and some terminals would take its last sign.
  const char* const erase =
      count_code_points(text) < terminal_size(STDERR_FILENO).columns ? kEraseRest : "";
  write_to(STDERR_FILENO, fmt::format("\r{}{}\n{}", text, erase, status_));
}

}  // namespace masque
