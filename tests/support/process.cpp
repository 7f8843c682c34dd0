#include "tests/support/process.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace masque::test {
namespace {

std::string quoted(const std::string& word) {
  std::string result = "'";
  for (const char character : word) {
    result += character == '\'' ? std::string("'\\''") : std::string(1, character);
  }
  return result + "'";
}

std::string read_file(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

// Programs that were carried elsewhere lie in $MASQUE_PROGRAMS.
std::string where_it_lies(const std::string& program) {
  const char* folder = std::getenv("MASQUE_PROGRAMS");
  if (folder == nullptr) return program;
  return (std::filesystem::path(folder) / std::filesystem::path(program).filename()).string();
}

}  // namespace

ProcessResult run_program(const std::string& program, const std::vector<std::string>& arguments,
                          const std::filesystem::path& folder, const std::string& before) {
  std::string pattern = (std::filesystem::temp_directory_path() / "masque-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make " + pattern);
  const std::filesystem::path scratch = pattern;

  std::string command;
  if (!folder.empty()) command += "cd " + quoted(folder.string()) + " && ";
  command += before + (before.empty() ? "" : " ") + quoted(where_it_lies(program));
  for (const std::string& argument : arguments) command += " " + quoted(argument);
  command += " >" + quoted((scratch / "out").string()) + " 2>" +
             quoted((scratch / "err").string()) + " </dev/null";

  const int status = std::system(command.c_str());
  ProcessResult result;
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = read_file(scratch / "out");
  result.err = read_file(scratch / "err");
  std::filesystem::remove_all(scratch);
  return result;
}

}  // namespace masque::test
