// Tables on stdout for a reader.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace masque {

inline constexpr const char* kNoCell = "-";

// Two lines of heading, and a cell a row.
struct TableColumn {
  std::string above, heading;
  std::vector<std::string> cells;

  std::size_t width() const;
};

// As many columns, right-aligned, as fit a line to the right of `names`, left-aligned, which begin
// each block; the others in blocks below. Columns of kNoCell alone are left out.
void print_table(std::vector<TableColumn> names, std::vector<TableColumn> columns);

}  // namespace masque
