// masque eval: a run's valid likelihood on a split of a text, with baselines on the same windows.
#pragma once

#include <CLI/CLI.hpp>

namespace masque {

void add_eval_command(CLI::App& app);

}  // namespace masque
