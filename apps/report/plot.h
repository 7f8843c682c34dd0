// What a plot shows, apart from how it is drawn (svg.h). A style is a colour of plot.css: llada,
// ar, real, or s1 … s8 for what has no colour of its own.
#pragma once

#include <limits>
#include <string>
#include <variant>
#include <vector>

#include "models/intervals.h"

namespace masque::report {

constexpr double kNoNumber = std::numeric_limits<double>::quiet_NaN();

struct Point {
  double x = 0, y = 0;
  Interval interval{kNoNumber, kNoNumber};  // of y
  std::string note;                         // shown where the pointer rests
};

enum class Stroke { none, solid, dashed };

struct Series {
  std::string name;  // "" : not in the legend
  std::string style;
  std::vector<Point> points;  // in the order of x
  Stroke stroke = Stroke::solid;
  bool dots = false;
};

struct Reference {
  std::string name, style;
  double at = 0;
};

struct Chart {
  std::string x_label, y_label;
  bool log_x = false;
  double y_most = kNoNumber;  // what lies above is cut off
  std::vector<Series> series;
  std::vector<Reference> references;  // horizontal lines
};

struct ForestRow {
  std::string label, style;
  double value = 0;
  Interval interval{kNoNumber, kNoNumber};
  std::string text;    // the value as written beside it
  bool bound = false;  // an upper bound: a hollow mark
};

// Rows of marks with intervals along one axis.
struct Forest {
  std::string x_label;
  bool bars = false;  // from 0 to the value
  std::vector<ForestRow> rows;
  std::vector<Reference> references;  // vertical lines
};

struct Plot {
  std::string name;  // of its file, without .svg
  std::string title, description;
  std::variant<Chart, Forest> content;
};

}  // namespace masque::report
