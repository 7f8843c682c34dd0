#include "apps/table.h"

#include <fmt/format.h>

#include <algorithm>

#include "models/utf8.h"

namespace masque {
namespace {

constexpr std::size_t kLine = 120;  // characters

std::string padded(const std::string& text, std::size_t width, bool left) {
  const std::string space(width - std::min(width, count_code_points(text)), ' ');
  return left ? fmt::format("{}{}", text, space) : fmt::format("{}{}", space, text);
}

void append(const TableColumn& column, bool left, std::vector<std::string>& lines) {
  const std::string gap = lines[0].empty() ? "" : "  ";
  const std::size_t width = column.width();
  lines[0] += gap + padded(column.above, width, left);
  lines[1] += gap + padded(column.heading, width, left);
  for (std::size_t i = 0; i < column.cells.size(); ++i) {
    lines[i + 2] += gap + padded(column.cells[i], width, left);
  }
}

}  // namespace

std::size_t TableColumn::width() const {
  std::size_t width = std::max(count_code_points(above), count_code_points(heading));
  for (const std::string& cell : cells) width = std::max(width, count_code_points(cell));
  return width;
}

void print_table(std::vector<TableColumn> names, std::vector<TableColumn> columns) {
  for (std::vector<TableColumn>* list : {&names, &columns}) {
    std::erase_if(*list, [](const TableColumn& column) {
      return std::all_of(column.cells.begin(), column.cells.end(),
                         [](const std::string& cell) { return cell == kNoCell; });
    });
  }
  for (std::size_t next = 0; next < columns.size();) {
    std::vector<std::string> lines(names.front().cells.size() + 2);
    for (const TableColumn& column : names) append(column, true, lines);
    do {
      append(columns[next], false, lines);
      ++next;
    } while (next < columns.size() &&
             count_code_points(lines[0]) + columns[next].width() + 2 <= kLine);
    for (std::string& line : lines) {
      line.erase(line.find_last_not_of(' ') + 1);
      fmt::print("{}\n", line);
    }
    fmt::print("\n");
  }
}

}  // namespace masque
