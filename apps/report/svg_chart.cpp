// Line plots and scatters.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/report/axis.h"
#include "apps/report/svg.h"

namespace masque::report {
namespace {

constexpr double kLine = 18;  // of text

struct Entry {  // of the legend, or a label beside the end of a line
  std::string name, style;
  double y = 0;
  bool dashed = false;
  bool dots = false, line = true;
};

struct Frame {
  Axis x, y;
  double left = 0, right = 0, top = 0, bottom = 0;  // pixels
};

std::vector<double> ys_of(const Chart& chart) {
  std::vector<double> numbers;
  for (const Series& series : chart.series) {
    for (const Point& point : series.points) {
      for (const double y : {point.y, point.interval.lo, point.interval.hi}) {
        if (!(y > chart.y_most)) numbers.push_back(y);
      }
    }
  }
  for (const Reference& reference : chart.references) numbers.push_back(reference.at);
  return numbers;
}

std::vector<double> xs_of(const Chart& chart) {
  std::vector<double> numbers;
  for (const Series& series : chart.series) {
    for (const Point& point : series.points) numbers.push_back(point.x);
  }
  return numbers;
}

std::vector<Entry> entries_of(const Chart& chart) {
  std::vector<Entry> entries;
  for (const Series& series : chart.series) {
    if (series.name.empty() || series.points.empty()) continue;
    entries.push_back({series.name, series.style, series.points.back().y,
                       series.stroke == Stroke::dashed, series.dots,
                       series.stroke != Stroke::none});
  }
  for (const Reference& reference : chart.references) {
    entries.push_back({reference.name, reference.style, reference.at, true, false, true});
  }
  return entries;
}

// Rows of swatches above the plot; returns the height they take.
double draw_legend(Drawing& drawing, const std::vector<Entry>& entries, double top, int width) {
  double x = 8, y = top;
  for (const Entry& entry : entries) {
    const double need = 34 + width_of(entry.name) + 14;
    if (x + need > width && x > 8) {
      x = 8;
      y += kLine;
    }
    if (entry.line) {
      drawing.line(fmt::format("curve c-{}{}", entry.style, entry.dashed ? " dashed" : ""), x,
                   y - 4, x + 26, y - 4);
    }
    if (entry.dots) drawing.add(mark(entry.style, x + 13, y - 4, false, entry.name));
    drawing.text("label", "start", x + 32, y, entry.name);
    x += need;
  }
  return y - top + kLine + 4;
}

// Labels right of the plot, pushed apart where they would touch.
void draw_labels(Drawing& drawing, std::vector<Entry> entries, const Frame& frame) {
  for (Entry& entry : entries) {
    entry.y = std::clamp(frame.y.at(entry.y), frame.top + 6, frame.bottom - 4);
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.y < b.y; });
  for (std::size_t k = 1; k < entries.size(); ++k) {
    entries[k].y = std::max(entries[k].y, entries[k - 1].y + kLine - 2);
  }
  double limit = frame.bottom;  // and back up where that ran past the end
  for (std::size_t k = entries.size(); k-- > 0; limit -= kLine - 2) {
    entries[k].y = std::min(entries[k].y, limit);
  }
  for (const Entry& entry : entries) {
    drawing.text("label ink-" + entry.style, "start", frame.right + 8, entry.y + 4, entry.name);
  }
}

void draw_axes(Drawing& drawing, const Chart& chart, const Frame& frame, int width) {
  for (const double tick : frame.y.ticks(6)) {
    const double y = frame.y.at(tick);
    drawing.line("grid", frame.left, y, frame.right, y);
    drawing.text("tick", "end", frame.left - 8, y + 4, tick_label(tick));
  }
  for (const double tick : frame.x.ticks(width > kHalf ? 9 : 5)) {
    const double x = frame.x.at(tick);
    drawing.line("grid", x, frame.bottom, x, frame.bottom + 5);
    drawing.text("tick", "middle", x, frame.bottom + 20, tick_label(tick));
  }
  drawing.line("axis", frame.left, frame.bottom, frame.right, frame.bottom);
  drawing.text("label", "start", 8, 16, chart.y_label);
  drawing.text("label", "end", frame.right, frame.bottom + 40,
               chart.x_label + (chart.log_x ? " (log scale)" : ""));
}

bool drawable(const Point& point, const Frame& frame) {
  return std::isfinite(point.x) && std::isfinite(point.y) && (!frame.x.log || point.x > 0);
}

void draw_series(Drawing& drawing, const Series& series, const Frame& frame) {
  std::string path;
  bool open = false;
  for (const Point& point : series.points) {
    if (!drawable(point, frame)) {
      open = false;  // what is not known interrupts the line
      continue;
    }
    path +=
        fmt::format("{}{:.1f} {:.1f}", open ? "L" : "M", frame.x.at(point.x), frame.y.at(point.y));
    open = true;
  }
  if (series.stroke != Stroke::none && !path.empty()) {
    const char* kind = series.stroke == Stroke::dashed ? " dashed" : "";
    drawing.add(fmt::format(R"(<path class="curve c-{}{}" d="{}"/>)", series.style, kind, path));
  }
  for (const Point& point : series.points) {
    if (!drawable(point, frame)) continue;
    const double x = frame.x.at(point.x);
    if (std::isfinite(point.interval.lo) && std::isfinite(point.interval.hi)) {
      drawing.line("whisker c-" + series.style, x, frame.y.at(point.interval.lo), x,
                   frame.y.at(point.interval.hi));
    }
    if (series.dots) drawing.add(mark(series.style, x, frame.y.at(point.y), false, point.note));
  }
}

}  // namespace

double draw(Drawing& drawing, const Chart& chart, int width) {
  const std::vector<Entry> entries = entries_of(chart);
  double widest = 0;
  for (const Entry& entry : entries) widest = std::max(widest, width_of(entry.name));
  const bool beside = width > kHalf && widest < 0.25 * width && entries.size() <= 12;

  Frame frame;
  frame.x = axis_around(xs_of(chart), chart.log_x);
  frame.y = axis_around(ys_of(chart), false);
  if (!chart.log_x && frame.x.lo < 0) frame.x.lo = 0;
  frame.top = 28;
  if (!beside) frame.top += draw_legend(drawing, entries, 38, width);
  frame.bottom = frame.top + (width > kHalf ? 330 : 250);
  frame.right = width - (beside ? widest + 14 : 12);
  frame.y.from = frame.bottom;
  frame.y.to = frame.top;
  double labels = 0;
  for (const double tick : frame.y.ticks(6)) labels = std::max(labels, width_of(tick_label(tick)));
  frame.left = 16 + labels;
  frame.x.from = frame.left;
  frame.x.to = frame.right;

  draw_axes(drawing, chart, frame, width);
  drawing.add(fmt::format(
      "<clipPath id=\"{}-c\"><rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>"
      "</clipPath>\n<g clip-path=\"url(#{}-c)\">",
      drawing.id(), frame.left - 7, frame.top - 7, frame.right - frame.left + 14,
      frame.bottom - frame.top + 14, drawing.id()));
  for (const Reference& reference : chart.references) {
    const double y = frame.y.at(reference.at);
    drawing.line("curve dashed c-" + reference.style, frame.left, y, frame.right, y);
  }
  for (const Series& series : chart.series) draw_series(drawing, series, frame);
  drawing.add("</g>");
  if (beside) draw_labels(drawing, entries, frame);
  return frame.bottom + 50;
}

}  // namespace masque::report
