// masque-bench step: whole training steps on synthetic text.
#pragma once

#include <CLI/CLI.hpp>

namespace masque::bench {

void add_step_command(CLI::App& app);

}  // namespace masque::bench
