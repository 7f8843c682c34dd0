// masque sample: text that a run writes, from a prompt or into a template's blanks.
#pragma once

#include <CLI/CLI.hpp>

namespace masque {

void add_sample_command(CLI::App& app);

}  // namespace masque
