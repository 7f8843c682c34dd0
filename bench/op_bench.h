// masque-bench op: the timed op cases, forward and backward.
#pragma once

#include <CLI/CLI.hpp>

namespace masque::bench {

void add_op_command(CLI::App& app);

}  // namespace masque::bench
