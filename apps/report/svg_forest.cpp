// Rows of marks, or bars, with intervals.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/report/axis.h"
#include "apps/report/svg.h"

namespace masque::report {
namespace {

struct Layout {
  Axis x;
  double top = 10, bottom = 0;  // pixels, of the rows
  double row = 30;
  bool stacked = false;  // labels above their rows, for narrow plots
};

Layout layout_of(const Forest& forest, int width) {
  std::vector<double> numbers;
  double label = 0, text = 0;
  for (const ForestRow& row : forest.rows) {
    numbers.insert(numbers.end(), {row.value, row.interval.lo, row.interval.hi});
    label = std::max(label, width_of(row.label));
    text = std::max(text, width_of(row.text));
  }
  for (const Reference& reference : forest.references) numbers.push_back(reference.at);
  if (forest.bars) numbers.push_back(0);

  Layout layout;
  layout.stacked = label + text + 200 > width;
  layout.row = layout.stacked ? 46 : 30;
  layout.x = axis_around(numbers, false);
  layout.x.from = layout.stacked ? 14 : label + 22;
  layout.x.to = layout.stacked ? width - 14 : width - text - 22;
  if (!forest.references.empty()) layout.top = 30;
  layout.bottom = layout.top + layout.row * static_cast<double>(forest.rows.size());
  return layout;
}

void draw_row(Drawing& drawing, const ForestRow& row, const Layout& layout, double y, bool bars,
              int width) {
  drawing.text("label", "start", 8, layout.stacked ? y - 14 : y + 4, row.label);
  drawing.text("value", "end", width - 8, layout.stacked ? y - 14 : y + 4, row.text);
  if (!std::isfinite(row.value)) return;
  const double x = layout.x.at(row.value);
  if (bars) {
    const double zero = layout.x.at(0);
    drawing.add(
        fmt::format(R"(<rect class="bar c-{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="12"/>)",
                    row.style, std::min(x, zero), y - 6, std::fabs(x - zero)));
  }
  if (std::isfinite(row.interval.lo) && std::isfinite(row.interval.hi)) {
    const double lo = layout.x.at(row.interval.lo), hi = layout.x.at(row.interval.hi);
    drawing.line("whisker c-" + row.style, lo, y, hi, y);
    for (const double end : {lo, hi}) {
      drawing.line("whisker c-" + row.style, end, y - 4, end, y + 4);
    }
  }
  drawing.add(mark(row.style, x, y, row.bound, row.label + " " + row.text));
}

}  // namespace

double draw(Drawing& drawing, const Forest& forest, int width) {
  const Layout layout = layout_of(forest, width);
  for (const double tick : layout.x.ticks(width > kHalf ? 7 : 4)) {
    const double x = layout.x.at(tick);
    drawing.line("grid", x, layout.top, x, layout.bottom);
    drawing.text("tick", "middle", x, layout.bottom + 18, tick_label(tick));
  }
  for (const Reference& reference : forest.references) {
    const double x = layout.x.at(reference.at);
    drawing.line("curve dashed c-" + reference.style, x, layout.top, x, layout.bottom);
    const double half = width_of(reference.name) / 2;
    const double at = std::clamp(x, half + 4, width - half - 4);
    drawing.text("label ink-" + reference.style, "middle", at, layout.top - 10, reference.name);
  }
  double y = layout.top + (layout.stacked ? layout.row - 14 : layout.row / 2);
  for (const ForestRow& row : forest.rows) {
    draw_row(drawing, row, layout, y, forest.bars, width);
    y += layout.row;
  }
  drawing.line("axis", layout.x.from, layout.bottom, layout.x.to, layout.bottom);
  drawing.text("label", "end", layout.x.to, layout.bottom + 38, forest.x_label);
  return layout.bottom + 48;
}

}  // namespace masque::report
