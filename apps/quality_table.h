// Rows of sample quality as a table for a reader.
#pragma once

#include <string>
#include <vector>

#include "apps/quality_rows.h"

namespace masque {

std::string label(const QualityRow& row);  // its name, strategy and steps
// To stdout. judge: the AR run that judged; empty for none.
void print_quality(const std::vector<QualityRow>& rows, const std::string& judge);

}  // namespace masque
