// masque quality: how good the texts of runs are, by judges that are none of them, beside real
// text.
#pragma once

#include <CLI/CLI.hpp>

namespace masque {

void add_quality_command(CLI::App& app);

}  // namespace masque
