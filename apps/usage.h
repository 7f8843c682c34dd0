// What CLI11 finds wrong in a command line, said as masque says things: what, its value, the mend.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace masque {

// After app.parse() threw `error`: one line, without the program's name in front.
std::string explain(const CLI::App& app, const CLI::ParseError& error);

}  // namespace masque
