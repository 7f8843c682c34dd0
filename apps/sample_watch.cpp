#include "apps/sample_watch.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string_view>

#include "models/utf8.h"

namespace masque {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr auto kFrame = std::chrono::microseconds(33334);
constexpr double kSure = 0.9, kLikely = 0.5;  // probabilities from which on a token counts as such

bool is_set(const char* variable) {
  const char* const value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

bool is_terminal() {
  const char* const kind = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && (kind == nullptr || std::string_view(kind) != "dumb");
}

struct Screen {
  std::size_t columns = 80, rows = 24;
};

Screen screen() {
  winsize size{};
  Screen screen;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
    screen.columns = size.ws_col;
    screen.rows = size.ws_row;
  }
  screen.rows = std::max<std::size_t>(screen.rows, 4);
  return screen;
}

// At once, so that a terminal never shows half a frame.
void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

std::string with_blanks(const Tokenizer& tokenizer, std::span<const std::int32_t> ids,
                        const char* rest) {
  const std::vector<std::string> pieces = tokenizer.pieces(ids);
  std::string text;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] == Tokenizer::kMask) {
      text += kBlank;
    } else if (ids[i] != Tokenizer::kStart) {
      text += pieces[i].empty() ? rest : pieces[i];
    }
  }
  return text;
}

SampleWatch::SampleWatch(const Tokenizer& tokenizer, std::int64_t n, std::int64_t steps)
    : tokenizer_(tokenizer),
      n_(n),
      steps_(steps),
      in_place_(is_terminal()),
      colour_(!is_set("NO_COLOR")) {}

SampleWatch::~SampleWatch() {
  if (!begun_) return;
  if (isatty(STDOUT_FILENO) == 1) {
    write_all("\033[H\033[J");
  } else if (pending_) {
    draw();
  }
}

void SampleWatch::show(const StepReport& report) {
  ++step_;
  if (!in_place_) return print_state(report.sequences);
  fresh_.resize(report.sequences.size(), kNan);
  ids_.assign(report.sequences.begin(), report.sequences.end());
  for (std::size_t i = 0; i < ids_.size(); ++i) {
    if (!std::isnan(report.probabilities[i])) fresh_[i] = report.probabilities[i];
    if (ids_[i] == Tokenizer::kMask) fresh_[i] = kNan;
  }
  pending_ = true;
  if (!begun_ || std::chrono::steady_clock::now() - last_frame_ >= kFrame) draw();
}

void SampleWatch::print_state(std::span<const std::int32_t> sequences) const {
  std::string text = fmt::format("step {}\n", step_);
  const std::size_t T = sequences.size() / static_cast<std::size_t>(n_);
  for (std::size_t begin = 0; begin < sequences.size(); begin += T) {
    text += fmt::format("{}\n{}\n", with_blanks(tokenizer_, sequences.subspan(begin, T)), kRule);
  }
  write_all(text);
}

void SampleWatch::draw() {
  const Screen size = screen();
  std::string frame;
  // What the terminal shows already scrolls away instead of being written over.
  if (!begun_) frame.append(size.rows, '\n');
  frame += "\033[H";
  const auto blanks = std::count(ids_.begin(), ids_.end(), Tokenizer::kMask);
  frame += fmt::format("step {} of {}, {} to write", step_, steps_, blanks).substr(0, size.columns);
  frame += "\033[K\n";
  std::vector<Line> all = lines(size.columns);
  const std::size_t room = size.rows - 2;  // the last row stays empty: no scrolling
  const std::size_t shown = all.size() <= room ? all.size() : room - 1;
  for (std::size_t i = 0; i < shown; ++i) frame += painted(all[i]) + "\033[K\n";
  if (shown < all.size()) {
    frame += fmt::format("and {} lines more", all.size() - shown).substr(0, size.columns);
    frame += "\033[K\n";
  }
  write_all(frame + "\033[J");
  begun_ = true;
  pending_ = false;
  fresh_.assign(ids_.size(), kNan);
  last_frame_ = std::chrono::steady_clock::now();
}

std::vector<SampleWatch::Line> SampleWatch::lines(std::size_t columns) const {
  std::vector<Line> lines(1);
  const auto put = [&](char32_t character, Style style) {
    if (lines.back().size() == columns) lines.emplace_back();
    lines.back().push_back({character, style});
  };
  const std::size_t T = ids_.size() / static_cast<std::size_t>(n_);
  std::vector<std::string> pieces;  // of the sequence
  for (std::size_t i = 0; i < ids_.size(); ++i) {
    if (i % T == 0) pieces = tokenizer_.pieces(std::span(ids_).subspan(i, T));
    if (i % T == 0 && i > 0) {
      lines.emplace_back();
      for (std::size_t k = 0; k < std::string_view(kRule).size(); ++k) put(U'-', Style::plain);
      lines.emplace_back();
    }
    const Style style = style_of(i);
    if (ids_[i] == Tokenizer::kStart) continue;
    if (ids_[i] == Tokenizer::kMask) {
      put(U'\u2591', style);  // ░
      continue;
    }
    for (const char32_t character : decode_utf8(pieces[i % T])) {
      if (character == U'\n') {
        if (style != Style::plain) put(U'\u21b5', style);  // ↵, so that a new one is seen
        lines.emplace_back();
      } else {
        const bool control = character < 0x20 || (character >= 0x7f && character < 0xa0);
        put(control ? U' ' : character, style);
      }
    }
  }
  return lines;
}

SampleWatch::Style SampleWatch::style_of(std::size_t index) const {
  if (ids_[index] == Tokenizer::kMask) return Style::blank;
  const double probability = fresh_[index];
  if (std::isnan(probability)) return Style::plain;
  if (probability >= kSure) return Style::sure;
  return probability >= kLikely ? Style::likely : Style::unlikely;
}

std::string SampleWatch::painted(const Line& line) const {
  const auto code = [](Style style) {
    switch (style) {
      case Style::blank:
        return "\033[0;2m";
      case Style::sure:
        return "\033[0;1;32m";  // green
      case Style::likely:
        return "\033[0;1;33m";  // yellow
      case Style::unlikely:
        return "\033[0;1;31m";  // red
      case Style::plain:
        break;
    }
    return "\033[0m";
  };
  std::string text;
  Style now = Style::plain;
  for (const Cell& cell : line) {
    if (colour_ && cell.style != now) text += code(cell.style);
    now = cell.style;
    append_utf8(text, cell.character);
  }
  if (colour_ && now != Style::plain) text += code(Style::plain);
  return text;
}

}  // namespace masque
