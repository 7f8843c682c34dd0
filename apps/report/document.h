// What a report says, apart from how it is written: HTML and Markdown are made from one Document,
// so that they cannot disagree. All text is plain; writers escape it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <variant>
#include <vector>

#include "apps/report/plot.h"

namespace masque::report {

struct Paragraph {
  std::string text;
};

struct List {
  std::vector<std::string> items;
};

struct Code {
  std::string text;
};

struct Column {
  std::string name;
  bool words = false;  // aligned left; numbers right
};

struct Row {
  std::vector<std::string> cells;  // the first heads the row
  std::string style = "";          // a colour for it
};

struct Table {
  std::string caption;
  std::vector<Column> columns;
  std::vector<Row> rows;
};

struct View {
  std::string label;
  std::vector<Plot> plots;  // one over the whole width, or two beside each other
};

// Several views are offered one at a time on a screen, all in Markdown and print.
struct Figure {
  std::string name;  // in ids
  std::string caption;
  std::vector<View> views;
};

struct Sample {
  std::string style;  // of its model
  std::string heading, settings;
  std::string prompt;  // "" or what the text begins with
  std::string text;
};

// AR's beside LLaDA's.
struct Samples {
  std::string caption;
  std::vector<Sample> left, right;
};

struct Viewer {
  std::string caption;
  nlohmann::json generations;  // the list `viewer` of results.json
};

using Block = std::variant<Paragraph, List, Code, Table, Figure, Samples, Viewer>;

struct Section {
  std::string id, title;
  std::vector<Block> blocks;
};

struct Document {
  std::string title, subtitle;
  std::vector<std::string> answer;  // paragraphs
  std::vector<Section> sections;
};

}  // namespace masque::report
