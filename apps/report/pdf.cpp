#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "apps/program.h"
#include "apps/report/report.h"
#include "kernels/backend.h"

namespace masque {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBrowsers[] = {"chromium", "chromium-browser", "google-chrome",
                                     "google-chrome-stable"};

// The first browser on PATH, or "".
std::string browser() {
  const char* path = std::getenv("PATH");
  for (const char* name : kBrowsers) {
    std::istringstream folders(path == nullptr ? "" : path);
    for (std::string folder; std::getline(folders, folder, ':');) {
      const fs::path program = fs::path(folder) / name;
      if (!folder.empty() && access(program.c_str(), X_OK) == 0) return program.string();
    }
  }
  return "";
}

std::string last_line(const std::string& text) {
  std::istringstream lines(text);
  std::string last;
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty()) last = line;
  }
  return last;
}

// Removed with all it holds.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::error_code unknown;  // of a TMPDIR that is no folder
    std::string name = (fs::temp_directory_path(unknown) / "masque-pdf-XXXXXX").string();
    if (!unknown && mkdtemp(name.data()) != nullptr) path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }  // empty where it could not be made

 private:
  fs::path path_;
};

}  // namespace

bool write_pdf(const fs::path& folder) {
  const std::string program = browser();
  if (program.empty()) {
    fmt::print(stderr,
               "no report.pdf: it takes chromium, chromium-browser or google-chrome on PATH; print "
               "report.html from a browser instead\n");
    return false;
  }
  const fs::path page = fs::absolute(folder / "report.html");
  const fs::path pdf = fs::absolute(folder / "report.pdf");
  const TemporaryFolder profile;  // so that a browser that is open does not take the page over
  if (profile.path().empty()) {
    fmt::print(stderr, "no report.pdf: cannot make a temporary folder: set TMPDIR\n");
    return false;
  }
  std::error_code ignored;
  fs::remove(pdf, ignored);
  std::vector<std::string> words = {program, "--headless", "--disable-gpu", "--no-first-run"};
  if (geteuid() == 0) words.emplace_back("--no-sandbox");  // root has none
  words.insert(words.end(), {"--user-data-dir=" + profile.path().string(), "--no-pdf-header-footer",
                             "--print-to-pdf=" + pdf.string(), page.string()});
  ProgramResult result;
  try {
    result = run_program(words);
  } catch (const Error& error) {
    fmt::print(stderr, "no report.pdf: {}\n", error.what());
    return false;
  }
  if (result.exit_code == 0 && fs::exists(pdf)) return true;
  fmt::print(stderr, "no report.pdf: {} ended with {}: {}\n", program, result.exit_code,
             last_line(result.output));
  return false;
}

}  // namespace masque
