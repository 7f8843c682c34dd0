// masque data, as a user runs it.
#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/program.h"
#include "kernels/backend.h"
#include "models/corpus.h"
#include "models/source.h"
#include "models/utf8.h"
#include "tests/support/catch.h"
#include "tests/support/process.h"
#include "tests/support/scratch.h"

using Catch::Matchers::Contains;

namespace masque {
namespace {

namespace fs = std::filesystem;

using test::slurp;
using test::spill;

// A folder to run in, with its own programs in front of PATH.
class Shell {
 public:
  Shell() { fs::create_directory(folder_ / "bin"); }

  fs::path path(const std::string& name) const { return folder_ / name; }
  void add_program(const std::string& name, const std::string& script) const {
    const fs::path program = folder_ / "bin" / name;
    spill(program, "#!/bin/sh\n" + script);
    fs::permissions(program, fs::perms::owner_all);
  }
  // masque data `arguments`
  test::ProcessResult data(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "data");
    const std::string path = "PATH='" + (folder_ / "bin").string() + "':\"$PATH\"";
    return test::run_program(MASQUE_BINARY, arguments, folder_.path(), path);
  }

 private:
  test::Scratch folder_;
};

// A curl that gives `file` for anything.
std::string curl_giving(const fs::path& file) {
  return "while [ $# -gt 1 ]; do [ \"$1\" = --output ] && to=$2; shift; done\n"
         "echo \"$1\" > url\ncat '" +
         file.string() + "' > \"$to\"\n";
}

TEST_CASE("data synth writes the source's text and never overwrites unasked", "[cpu]") {
  const Shell shell;
  test::ProcessResult outcome =
      shell.data({"synth", "made/text.txt", "--chars", "3000", "--seed", "5"});
  REQUIRE(outcome.code == 0);
  CHECK_THAT(outcome.out, Contains("made/text.txt: 3,000 characters") && Contains("nats"));
  const std::string text = slurp(shell.path("made/text.txt"));
  CHECK(text.size() == 3000);
  CHECK(std::isfinite(Source().window_nats(text)));
  CHECK(text.find(":\n") < 6);  // starts with a speaker

  outcome = shell.data({"synth", "made/text.txt", "--chars", "100"});
  CHECK(outcome.code == 2);
  CHECK(outcome.err ==
        "masque: made/text.txt exists: name another file, or overwrite it with "
        "--force\n");
  CHECK(slurp(shell.path("made/text.txt")) == text);
  CHECK(shell.data({"synth", "made/text.txt", "--chars", "100", "--seed", "5", "--force"}).code ==
        0);
  CHECK(slurp(shell.path("made/text.txt")) == text.substr(0, 100));
  CHECK_FALSE(fs::exists(shell.path("made/text.txt.tmp")));

  CHECK_THAT(shell.data({"synth", "a.txt", "--chars", "0"}).err,
             Contains("--chars 0: give a number from 1"));
  CHECK(shell.data({"synth", "a.txt", "--chars", "0"}).code == 2);
  CHECK_THAT(shell.data({"synth", "bin"}).err, Contains("bin is a folder"));

  outcome = shell.data({"synth", "made/text.txt/new.txt", "--chars", "100"});
  CHECK(outcome.code == 1);
  CHECK(outcome.out.empty());
  CHECK(outcome.err ==
        "masque: cannot make made/text.txt: File exists; or name a file elsewhere\n");
}

TEST_CASE("data fetch verifies what curl brought", "[cpu]") {
  const Shell shell;
  spill(shell.path("wrong.txt"), "not Shakespeare\n");
  shell.add_program("curl", curl_giving(shell.path("wrong.txt")));
  test::ProcessResult outcome = shell.data({"fetch", "tinyshakespeare"});
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.err, Contains("SHA-256") && Contains("place the file at data/tiny"));
  CHECK(fs::is_empty(shell.path("data")));
  CHECK_THAT(slurp(shell.path("url")), Contains("char-rnn/master/data/tinyshakespeare/input.txt"));

  shell.add_program("curl", "echo 'curl: (6) Could not resolve host' >&2; exit 6\n");
  outcome = shell.data({"fetch", "tinyshakespeare", "--dir", "elsewhere"});
  CHECK(outcome.code == 1);
  CHECK(outcome.out.empty());
  CHECK_THAT(outcome.err, Contains("(curl: (6) Could not resolve host)") &&
                              Contains("place the file at elsewhere/tinyshakespeare.txt by hand") &&
                              Contains("masque data synth elsewhere/synth.txt"));
  CHECK(fs::is_empty(shell.path("elsewhere")));

  outcome = shell.data({"fetch", "moby-dick"});
  CHECK(outcome.code == 2);
  CHECK_THAT(outcome.err, Contains("NAME moby-dick: must be tinyshakespeare"));

  spill(shell.path("data") / "tinyshakespeare.txt", "mine\n");
  outcome = shell.data({"fetch", "tinyshakespeare"});
  CHECK(outcome.code == 2);
  CHECK_THAT(outcome.err, Contains("is there already and is another file"));
  CHECK(slurp(shell.path("data/tinyshakespeare.txt")) == "mine\n");
}

TEST_CASE("a program of whose end nothing is known has not succeeded", "[cpu]") {
  const auto before = std::signal(SIGCHLD, SIG_IGN);
  CHECK_THROWS_WITH(run_program({"true"}), "cannot wait for true: No child processes");
  std::signal(SIGCHLD, before);
  CHECK(run_program({"true"}).exit_code == 0);
}

TEST_CASE("data fetch keeps the right file and is quick the second time", "[cpu]") {
  fs::path right;
  try {
    right = fs::absolute(find_data("tinyshakespeare.txt"));
  } catch (const InputError&) {
    WARN("skipped: tinyshakespeare.txt is not on this machine");
    return;
  }
  const Shell shell;
  shell.add_program("curl", curl_giving(right));
  test::ProcessResult outcome = shell.data({"fetch", "tinyshakespeare", "--dir", "d"});
  REQUIRE(outcome.code == 0);
  CHECK(outcome.out == "d/tinyshakespeare.txt: 1,115,394 bytes, SHA-256 verified\n");
  CHECK_FALSE(fs::exists(shell.path("d/tinyshakespeare.txt.part")));
  shell.add_program("curl", "exit 99\n");
  outcome = shell.data({"fetch", "tinyshakespeare", "--dir", "d"});
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.out, Contains("is there already"));
}

TEST_CASE("data info shows what a model will see", "[cpu]") {
  const Shell shell;
  std::string text;
  for (int i = 0; i < 100; ++i) text += "abca\n";
  text += "é\r\xE4\xB8\xAD";
  spill(shell.path("text.txt"), text);
  const test::ProcessResult outcome = shell.data({"info", "text.txt", "--context", "16"});
  REQUIRE(outcome.code == 0);
  CHECK(outcome.err.empty());
  for (const char* line : {
           "text.txt\n",
           "characters       503 in 101 lines, 506 bytes\n",
           "vocabulary       11: 7 characters, and [PAD] [MASK] [START] [END]\n",
           "most common      a 39.8%, \\n 19.9%, b 19.9%, c 19.9%, \\r 0.2%, é 0.2%\n",
           "  \\n \\r a b c é 中\n",
           "train          402   79.9%          26   4\n",
           "val             50    9.9%           4   4, of them 4 in train (100% of its tokens)\n",
           "test            51   10.1%           4   7, of them 4 in train (94.12% of its tokens)",
           "test has characters that train lacks: \\r é 中\n",
           " a b c a \\n a",
           "t = 0.0 abca↵abca↵",
       }) {
    CHECK_THAT(outcome.out, Contains(line));
  }
  CHECK(shell.data({"info", "text.txt", "--context", "16"}).out == outcome.out);
  CHECK(shell.data({"info", "text.txt", "--context", "16", "--seed", "2"}).out != outcome.out);
  CHECK_THAT(shell.data({"info", "text.txt", "--context", "400"}).out, Contains("too short"));
}

TEST_CASE("data info --json prints one object, with nested masks", "[cpu]") {
  const Shell shell;
  spill(shell.path("text.txt"), Source().generate(20000, 1));
  const test::ProcessResult outcome =
      shell.data({"info", "text.txt", "--json", "--train-fraction", "0.9"});
  REQUIRE(outcome.code == 0);
  const auto json = nlohmann::json::parse(outcome.out);
  CHECK(json["tokens"] == 20000);
  CHECK(json["splits"]["train"]["tokens"] == 18000);
  CHECK(json["splits"]["val"]["sequences"] == 16);
  CHECK(json["splits"]["test"]["tokens"] == 0);
  CHECK(json["unigram_nats"] > 2.5);
  CHECK(json["sample"]["ids"].size() == 16);
  const auto& passages = json["masked"];
  REQUIRE(passages.size() == 4);
  const std::u32string clean = decode_utf8(passages[0]["text"].get<std::string>());
  std::u32string before = clean;
  for (std::size_t k = 1; k < 4; ++k) {
    const std::u32string text = decode_utf8(passages[k]["text"].get<std::string>());
    REQUIRE(text.size() == clean.size());
    double masked = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      masked += text[i] == U'░' ? 1 : 0;
      CHECK((text[i] == U'░' || text[i] == before[i]));
    }
    CHECK(std::abs(masked / static_cast<double>(text.size()) - passages[k]["t"].get<double>()) <
          0.15);
    before = text;
  }
}

TEST_CASE("data info refuses what is no text", "[cpu]") {
  const Shell shell;
  spill(shell.path("empty.txt"), "");
  spill(shell.path("bytes.txt"), "a\xff");
  spill(shell.path("text.txt"), "abc");
  const auto refused = [&](const std::vector<std::string>& arguments, const std::string& why) {
    const test::ProcessResult outcome = shell.data(arguments);
    INFO(why);
    CHECK(outcome.code == 2);
    CHECK(outcome.out.empty());
    CHECK_THAT(outcome.err, Contains(why));
    CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
  };
  refused({"info", "none.txt"}, "no data file \"none.txt\"");
  refused({"info", "empty.txt"}, "empty.txt is empty");
  refused({"info", "bytes.txt"},
          "byte 1 (0xFF) cannot start a character: save it as UTF-8, or give --tokenizer byte");
  refused({"info", "bin"}, "bin holds no files");
  refused({"info", "text.txt", "--context", "0"}, "--context 0");
  refused({"info", "text.txt", "--train-fraction", "0.9", "--val-fraction", "0.2"},
          "0.9 and val fraction 0.2");
  refused({}, "");
  CHECK_THAT(shell.data({"synth", "--help"}).out, Contains("Example:\n  masque data synth"));
  CHECK_THAT(shell.data({"info", "--help"}).out, Contains("Examples:\n  masque data info"));
  CHECK_THAT(shell.data({"fetch", "--help"}).out, Contains("Example:\n  masque data fetch"));
}

}  // namespace
}  // namespace masque
