// Plots as SVG. Colours are classes of plot.css, so that one drawing serves light and dark.
#pragma once

#include <string>

#include "apps/report/plot.h"

namespace masque::report {

// Pixels wide: of a plot over the whole page, of one of two beside each other, on a phone.
constexpr int kWide = 920, kHalf = 460, kNarrow = 358;

// An <svg> element of this width, for a page that has plot.css. Its ids begin with plot.name and
// the width.
std::string svg(const Plot& plot, int width);
// A file of its own: with plot.css, a background and the namespace.
std::string svg_file(const Plot& plot, int width);

std::size_t letters(const std::string& text);  // of UTF-8

// An <svg> in the making.
class Drawing {
 public:
  explicit Drawing(std::string id) : id_(std::move(id)) {}
  const std::string& id() const { return id_; }
  void line(const std::string& style, double x1, double y1, double x2, double y2);
  // anchor: start, middle, end
  void text(const std::string& style, const std::string& anchor, double x, double y,
            const std::string& text);
  void add(const std::string& element) { body_ += element + "\n"; }
  std::string element(const Plot& plot, int width, double height, bool alone) const;

 private:
  std::string id_, body_;
};

// Draw, and return the height.
double draw(Drawing& drawing, const Chart& chart, int width);
double draw(Drawing& drawing, const Forest& forest, int width);

double width_of(const std::string& text);  // pixels, roughly
// A mark whose shape tells styles apart without colour. hollow: an outline.
std::string mark(const std::string& style, double x, double y, bool hollow,
                 const std::string& note);

}  // namespace masque::report
