// Runs the masque program as a user would.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace masque::test {

struct ProcessResult {
  int code = 0;  // exit status; 128 + n where signal n killed it
  std::string out, err;
};

// Runs `program` with arguments, in `folder` where given. before: shell words in front of it, such
// as "timeout -s INT 3" or "OMP_NUM_THREADS=1".
ProcessResult run_program(const std::string& program, const std::vector<std::string>& arguments,
                          const std::filesystem::path& folder = {}, const std::string& before = {});

}  // namespace masque::test
