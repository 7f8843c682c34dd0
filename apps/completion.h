// masque completion: what bash, zsh and fish offer behind a Tab. Their scripts ask the program
// itself (`masque __complete WORD…`), so that what is offered is what this program takes.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace masque {

inline constexpr const char* kCompleteCommand = "__complete";

// What may stand for the last of `words`, which follow the program's name: a line each,
// "value<Tab>description", or one line ":files" or ":folders", which the shell knows.
std::vector<std::string> completions(const CLI::App& app, const std::vector<std::string>& words);

void add_completion_command(CLI::App& app);

}  // namespace masque
