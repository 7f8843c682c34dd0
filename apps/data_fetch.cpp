#include "apps/data_fetch.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "apps/common.h"
#include "apps/program.h"
#include "kernels/backend.h"

namespace masque {
namespace {

namespace fs = std::filesystem;

struct PublicText {
  const char* name;
  const char* url;
  const char* sha256;
};

constexpr PublicText kTexts[] = {
    {"tinyshakespeare",
     "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
     "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"}};

const PublicText& text_named(const std::string& name) {
  std::string known;
  for (const PublicText& text : kTexts) {
    if (name == text.name) return text;
    known += (known.empty() ? "" : ", ") + std::string(text.name);
  }
  throw InputError(fmt::format("unknown text \"{}\": fetch one of: {}", name, known));
}

// A program's message without its line breaks.
std::string one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// Removes what a failed download left.
class TemporaryFile {
 public:
  explicit TemporaryFile(fs::path path) : path_(std::move(path)) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

void download(const PublicText& text, const fs::path& to, const fs::path& wanted) {
  const std::string mend =
      fmt::format("place the file at {} by hand, or make text with `masque data synth {}`",
                  wanted.string(), (wanted.parent_path() / "synth.txt").string());
  fmt::print(stderr, "fetching {}\n", text.url);
  ProgramResult result;
  try {
    result = run_program({"curl", "--fail", "--location", "--silent", "--show-error",
                          "--connect-timeout", "20", "--max-time", "300", "--output", to.string(),
                          text.url});
  } catch (const Error& error) {
    throw Error(fmt::format("{}: install curl, {}", error.what(), mend));
  }
  if (result.exit_code != 0) {
    throw Error(fmt::format(
        "cannot fetch {} ({}): {}", text.url,
        result.output.empty() ? fmt::format("curl: {}", result.exit_code) : one_line(result.output),
        mend));
  }
  if (const std::string sha256 = sha256_of(to); sha256 != text.sha256) {
    throw Error(fmt::format("{} gave a file of SHA-256 {}, not {}: {}", text.url, sha256,
                            text.sha256, mend));
  }
}

}  // namespace

std::vector<std::string> public_texts() {
  std::vector<std::string> names;
  for (const PublicText& text : kTexts) names.emplace_back(text.name);
  return names;
}

std::string sha256_of(const fs::path& file) {
  const ProgramResult result = run_program({"sha256sum", "--", file.string()});
  if (result.exit_code != 0) {
    throw Error(fmt::format("cannot check {}: {}", file.string(), one_line(result.output)));
  }
  const std::size_t first = result.output.find_first_not_of('\\');  // before names it escapes
  return result.output.substr(first, 64);
}

std::string sha256_of_text(const std::string& text) {
  const ProgramResult result = run_program({"sha256sum"}, text);
  if (result.exit_code != 0) {
    throw Error(fmt::format("cannot check a text: {}", one_line(result.output)));
  }
  return result.output.substr(0, 64);
}

void fetch_data(const std::string& name, const fs::path& folder) {
  const PublicText& text = text_named(name);
  const fs::path file = folder / (name + ".txt");
  std::error_code error;
  if (fs::exists(file, error)) {
    if (const std::string sha256 = sha256_of(file); sha256 != text.sha256) {
      throw InputError(fmt::format(
          "{} is there already and is another file (SHA-256 {}, not {}): move it away, or give "
          "another --dir",
          file.string(), sha256, text.sha256));
    }
    fmt::print("{} is there already, and its SHA-256 is right\n", file.string());
    return;
  }
  fs::create_directories(folder, error);
  if (error) {
    throw InputError(fmt::format("cannot make the folder {} ({}): give another --dir",
                                 folder.string(), error.message()));
  }
  const TemporaryFile temporary(file.string() + ".part");
  download(text, temporary.path(), file);
  fs::rename(temporary.path(), file, error);
  if (error) throw Error(fmt::format("cannot write {}: {}", file.string(), error.message()));
  fmt::print("{}: {} bytes, SHA-256 verified\n", file.string(),
             grouped(static_cast<std::int64_t>(fs::file_size(file))));
}

}  // namespace masque
