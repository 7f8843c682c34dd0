// masque data: fetch, look at and make training text.
#pragma once

#include <CLI/CLI.hpp>

namespace masque {

void add_data_command(CLI::App& app);  // data fetch | info | synth

}  // namespace masque
