// The files of apps/report/ that pages carry: plot.css, report.css, viewer.js.
#pragma once

#include <string>

namespace masque::report {

const std::string& resource(const std::string& name);

}  // namespace masque::report
