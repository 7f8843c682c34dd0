// masque doctor: what this machine has, what masque will use of it, and what to mend.
#pragma once

#include <CLI/CLI.hpp>

namespace masque {

void add_doctor_command(CLI::App& app);

}  // namespace masque
