// A document written out.
#pragma once

#include <string>

#include "apps/report/document.h"

namespace masque::report {

// One page that asks for nothing outside itself.
std::string to_html(const Document& document);
// Its plots are plots/NAME.svg beside it.
std::string to_markdown(const Document& document);

}  // namespace masque::report
