// Other programs: curl, sha256sum. Without a shell.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace masque {

struct ProgramResult {
  int exit_code = 0;   // 128 + signal where one ended it
  std::string output;  // stdout and stderr together
};

// Runs arguments[0], found on PATH, to its end; input: what it reads from stdin, where given. Error
// where it cannot be started, or waited for.
ProgramResult run_program(const std::vector<std::string>& arguments,
                          std::optional<std::string_view> input = {});

}  // namespace masque
