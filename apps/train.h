// masque train: a run from its first step, or onwards from its last checkpoint.
#pragma once

#include <CLI/CLI.hpp>

namespace masque {

// exit_code: 130 or 143 after Ctrl-C or SIGTERM, once the run is saved.
void add_train_command(CLI::App& app, int& exit_code);

}  // namespace masque
