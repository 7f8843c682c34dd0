// masque completion and masque man: from one table of flags, in step with --help.
#include <algorithm>
#include <regex>
#include <set>
#include <sstream>

#include "tests/support/catch.h"
#include "tests/support/process.h"
#include "tests/support/scratch.h"

using Catch::Matchers::Contains;

namespace masque::test {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

bool has_program(const std::string& name) {
  if (run_program("sh", {"-c", "command -v " + name}).code == 0) return true;
  WARN("SKIPPED: no program " << name);
  return false;
}

std::string output(const Words& arguments) {
  const ProcessResult result = run_program(MASQUE_BINARY, arguments);
  INFO(result.err);
  REQUIRE(result.code == 0);
  return result.out;
}

Words lines_of(const std::string& text) {
  std::istringstream stream(text);
  Words lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// What is offered for the last of `words`, without descriptions.
Words offered(Words words) {
  words.insert(words.begin(), "__complete");
  Words values;
  for (const std::string& line : lines_of(output(words))) {
    values.push_back(line.substr(0, line.find('\t')));
  }
  return values;
}

// Every command, as words: {}, {"data"}, {"data", "fetch"}, …
std::vector<Words> all_commands(const Words& above = {}) {
  std::vector<Words> commands = {above};
  Words asked = above;
  asked.emplace_back("");
  for (const std::string& name : offered(asked)) {
    if (!std::regex_match(name, std::regex("[a-z]+")) || above.size() > 1) continue;
    if (!above.empty() && above.front() != "data") continue;
    Words command = above;
    command.push_back(name);
    for (const Words& below : all_commands(command)) commands.push_back(below);
  }
  return commands;
}

Words help_flags(Words command) {
  command.emplace_back("--help");
  const std::string help = output(command);
  const std::regex flag("\n  (?:-.,)?(--[a-z-]+)");
  Words flags;
  for (std::sregex_iterator match(help.begin(), help.end(), flag), end; match != end; ++match) {
    flags.push_back((*match)[1]);
  }
  return flags;
}

// What bash puts in COMPREPLY for the last word of `words`, cut as bash cuts a command line.
Words bash_completes(const fs::path& folder, const Words& words) {
  std::string line =
      "source <('" MASQUE_BINARY "' completion bash); COMP_WORDS=('" MASQUE_BINARY "'";
  for (const std::string& word : words) line += " '" + word + "'";
  line += "); COMP_CWORD=" + std::to_string(words.size()) +
          "; _masque; printf '%s\\n' \"${COMPREPLY[@]}\"";
  const ProcessResult result = run_program("bash", {"--norc", "-c", line}, folder);
  INFO(result.err);
  CHECK(result.err.empty());
  Words values = lines_of(result.out);
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace

TEST_CASE("every flag of --help is completed and in the manual", "[cpu]") {
  const std::vector<Words> commands = all_commands();
  CHECK(commands.size() >= 15);
  std::size_t seen = 0;
  for (const Words& command : commands) {
    Words man = command;
    man.insert(man.begin(), "man");
    const std::string page = std::regex_replace(output(man), std::regex(R"(\\-)"), "-");
    Words asked = command;
    asked.emplace_back("--");
    const Words completed = offered(asked);
    for (const std::string& flag : help_flags(command)) {
      INFO(flag << " of " << (command.empty() ? "masque" : command.back()));
      CHECK(std::count(completed.begin(), completed.end(), flag) == 1);
      CHECK_THAT(page, Contains("\\fB" + flag + "\\fR"));
      ++seen;
    }
  }
  CHECK(seen > 80);
}

TEST_CASE("values, paths, keys and steps are offered where they belong", "[cpu]") {
  CHECK(offered({"tr"}) == Words{"train"});
  CHECK(offered({"data", "in"}) == Words{"info"});
  CHECK(offered({"__"}).empty());
  CHECK(offered({"train", ""}) == Words{":folders"});
  CHECK(offered({"train", "new", "--data", ""}) == Words{":files"});
  CHECK(offered({"train", "new", "--objective", ""}) == Words{"llada", "ar"});
  CHECK(offered({"train", "new", "--objective=l"}) == Words{"--objective=llada"});
  CHECK(offered({"train", "new", "--tokenizer", "b"}) == Words{"byte"});
  CHECK(offered({"train", "new", "--device", "c"}) == Words{"cpu", "cuda"});
  CHECK(offered({"train", "new", "--set", "norm="}) == Words{"norm=layernorm", "norm=rmsnorm"});
  CHECK(offered({"train", "new", "--set", "lr=1e-3", "warm"}) == Words{"warmup="});
  CHECK(offered({"train", "new", "--steps", ""}).empty());
  CHECK(offered({"quality", "llada", "--strategies", "ancestral,th"}) ==
        Words{"ancestral,threshold"});
  CHECK(offered({"quality", "llada", "--steps", "8", "run"}) == Words{":folders"});
  CHECK(offered({"completion", ""}) == Words{"bash", "zsh", "fish"});
  // A flag is given once, but for those that take more.
  CHECK(offered({"train", "new", "--resume", "--res"}).empty());
  CHECK(offered({"compare", "new", "--set", "lr=1", "--se"}) == Words{"--seeds", "--set"});

  const Scratch folder;
  fs::create_directories(folder / "run/checkpoints/step_200");
  fs::create_directories(folder / "run/checkpoints/step_1000");
  CHECK(offered({"eval", (folder / "run").string(), "--checkpoint", ""}) ==
        Words{"best", "last", "200", "1000"});
  CHECK(offered({"eval", (folder / "none").string(), "--checkpoint", ""}) == Words{"best", "last"});
}

TEST_CASE("bash completes flags, values and files", "[cpu]") {
  if (!has_program("bash")) return;
  const Scratch scratch;
  spill(scratch / "text one.txt", "text");
  fs::create_directories(scratch / "texts");
  const auto completes = [&](const Words& words) { return bash_completes(scratch.path(), words); };
  CHECK(completes({"train", "new", "--obj"}) == Words{"--objective"});
  CHECK(completes({"train", "new", "--objective", ""}) == Words{"ar", "llada"});
  CHECK(completes({"train", "new", "--preset", "t"}) == Words{"tiny"});
  // bash cuts at = and :, and puts what is completed behind it.
  CHECK(completes({"train", "new", "--objective", "=", "l"}) == Words{"llada"});
  CHECK(completes({"train", "new", "--objective", "="}) == Words{"ar", "llada"});
  CHECK(completes({"train", "new", "--set", "norm", "=", "r"}) == Words{"rmsnorm"});
  CHECK(completes({"train", "new", "--set", "norm", "=", "rmsnorm", "--ste"}) == Words{"--steps"});
  CHECK(completes({"train", "new", "--data", "te"}) == Words{"text one.txt", "texts"});
  CHECK(completes({"train", "te"}) == Words{"texts"});
  CHECK(completes({"train", "new", "--data", "/no/such"}) == Words{""});
}

TEST_CASE("the scripts are ones to their shells", "[cpu]") {
  const Scratch scratch;
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const fs::path script = scratch / shell;
    spill(script, output({"completion", shell}));
    if (!has_program(shell)) continue;
    const ProcessResult result = run_program(shell, {"-n", script.string()});
    INFO(result.err);
    CHECK(result.code == 0);
    CHECK(result.err.empty());
  }
}

TEST_CASE("fish and zsh complete by their scripts", "[cpu]") {
  const Scratch scratch;
  spill(scratch / "masque.fish", output({"completion", "fish"}));
  fs::create_symlink(MASQUE_BINARY, scratch / "masque");
  const std::string path = "PATH='" + scratch.path().string() + "':\"$PATH\"";
  if (has_program("fish")) {
    const ProcessResult result = run_program(
        "fish", {"--no-config", "-c", "source masque.fish; complete -C 'masque train new --obj'"},
        scratch.path(), "env HOME=. " + path);
    INFO(result.err);
    CHECK_THAT(result.out, Catch::StartsWith("--objective\t"));
  }
  if (has_program("zsh")) {
    spill(scratch / "_masque", output({"completion", "zsh"}));
    // What would be offered, without a terminal to offer it on.
    const ProcessResult result =
        run_program("zsh",
                    {"-f", "-c",
                     "compdef() { : }; _describe() { print -l ${(P)@[-1]} }; compadd() { print -l "
                     "-- $@[4,-1] };"
                     "source ./_masque; words=(masque train new --set sche); CURRENT=5; _masque;"
                     "words=(masque train new --objective ''); _masque"},
                    scratch.path(), "env " + path);
    INFO(result.err);
    CHECK(result.out ==
          "schedule=cosine:schedule=cosine\nschedule=constant:schedule=constant\n"
          "llada:llada\nar:ar\n");
  }
}

TEST_CASE("manual pages are clean roff, one a command", "[cpu]") {
  const Scratch scratch;
  const fs::path folder = scratch / "man1";
  CHECK(output({"man", "--all", folder.string()}).empty());
  std::set<std::string> pages;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    pages.insert(entry.path().filename().string());
  }
  CHECK(pages.size() == all_commands().size());
  CHECK(pages.count("masque.1") == 1);
  CHECK(slurp(folder / "masque-data-info.1") == output({"man", "data", "info"}));
  const std::string train = slurp(folder / "masque-train.1");
  CHECK_THAT(train, Contains(".SH NAME\nmasque\\-train \\- Train a model into a run folder\n") &&
                        Contains("\\fB\\-\\-objective\\fR \\fIllada|ar\\fR\n") &&
                        Contains(".SH EXAMPLES\n"));
  if (!has_program("groff")) return;
  for (const std::string& page : pages) {
    const ProcessResult result =
        run_program("groff", {"-man", "-Kutf8", "-Tutf8", "-ww", "-z", (folder / page).string()});
    INFO(page << ": " << result.err);
    CHECK(result.code == 0);
    CHECK(result.err.empty());
  }
}

TEST_CASE("--version says what was built, and what is used here", "[cpu]") {
  const std::string text = output({"--version"});
  INFO(text);
  CHECK(std::regex_match(lines_of(text).front(), std::regex(R"(masque \d+\.\d+\.\d+)")));
  CHECK_THAT(text, Contains("\ncommit    ") && Contains("\ncompiler  ") &&
                       Contains("\nCUDA      ") && Contains("\nCPU       portable") &&
                       Contains("\nthreads   "));
  CHECK_THAT(run_program(MASQUE_BINARY, {"--version"}, {}, "MASQUE_CPU=portable").out,
             Contains("; portable: used here"));
}

}  // namespace masque::test
