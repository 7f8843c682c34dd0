// masque compare: trains LLaDA and AR alike, evaluates and samples both, and reports.
#pragma once

#include <CLI/CLI.hpp>

namespace masque {

void add_compare_command(CLI::App& app, int& exit_code);

}  // namespace masque
