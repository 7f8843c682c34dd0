#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <string>

#include "apps/program.h"
#include "apps/report/report.h"

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
    std::string name = (fs::temp_directory_path() / "masque-pdf-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

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
  std::error_code ignored;
  fs::remove(pdf, ignored);
  const ProgramResult result =
      run_program({program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                   "--user-data-dir=" + profile.path().string(), "--no-pdf-header-footer",
                   "--print-to-pdf=" + pdf.string(), page.string()});
  if (result.exit_code == 0 && fs::exists(pdf)) return true;
  fmt::print(stderr, "no report.pdf: {} ended with {}: {}\n", program, result.exit_code,
             last_line(result.output));
  return false;
}

}  // namespace masque
