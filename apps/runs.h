// masque runs: the runs below a folder, side by side.
#pragma once

#include <CLI/CLI.hpp>

namespace masque {

void add_runs_command(CLI::App& app);

}  // namespace masque
