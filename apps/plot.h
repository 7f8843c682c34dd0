// masque plot: the learning curves of runs as an SVG.
#pragma once

#include <CLI/CLI.hpp>

namespace masque {

void add_plot_command(CLI::App& app);

}  // namespace masque
