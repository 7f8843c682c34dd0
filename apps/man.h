// masque man: manual pages, from the same table of flags as --help.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace masque {

// The page of a command, in roff's man macros.
std::string man_page(const CLI::App& command);
// masque man [COMMAND…], of the commands of `app`.
void add_man_command(CLI::App& app);

}  // namespace masque
