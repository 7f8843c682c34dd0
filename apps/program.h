// Other programs: curl, sha256sum. Without a shell.
#pragma once

#include <string>
#include <vector>

namespace masque {

struct ProgramResult {
  int exit_code = 0;   // 128 + signal where one ended it
  std::string output;  // stdout and stderr together
};

// Runs arguments[0], found on PATH, to its end. Error where it cannot be started.
ProgramResult run_program(const std::vector<std::string>& arguments);

}  // namespace masque
