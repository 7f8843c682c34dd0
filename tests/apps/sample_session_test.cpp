// masque sample --interactive: lines of a pipe, and of a pseudo-terminal.
#include <csignal>
#include <filesystem>

#include "tests/support/small_run.h"
#include "tests/support/terminal.h"

namespace masque::test {
namespace {

using Catch::Matchers::Contains;
using Words = std::vector<std::string>;

// masque sample RUN --interactive `options`, with these lines on stdin.
ProcessResult session(const SmallRun& run, const std::string& lines,
                      const std::string& options = "") {
  const std::string file = run.file("lines.txt").string();
  spill(file, lines);
  return run_program("/bin/sh",
                     {"-c", std::string(MASQUE_BINARY) + " sample '" + run.path() +
                                "' --interactive " + options + " < '" + file + "'"},
                     {}, "OMP_NUM_THREADS=1");
}

std::string text_of(const SmallRun& run, const Words& options) {
  const ProcessResult result = run.masque("sample", options);
  REQUIRE(result.code == 0);
  return result.out;
}

const std::string kLine = "----------------------------------------\n";

TEST_CASE("a session writes what the same flags write", "[sample][cpu]") {
  for (const std::string objective : {"llada", "ar"}) {
    const SmallRun run(objective);
    const ProcessResult result = session(
        run, "the \n\n/temperature 0.5\n/set seed 7\nthe king\n/again\n/n 2\n/length 9\na\\nb");
    INFO(result.err);
    CHECK(result.code == 0);
    CHECK(
        result.out ==
        text_of(run, {"--prompt", "the "}) + kLine + text_of(run, {}) + kLine +
            text_of(run, {"--prompt", "the king", "--temperature", "0.5", "--seed", "7"}) + kLine +
            text_of(run, {"--prompt", "the king", "--temperature", "0.5", "--seed", "8"}) + kLine +
            text_of(run, {"--prompt", "a\nb", "--temperature", "0.5", "--seed", "8", "--n", "2",
                          "--length", "9"}));
    CHECK_THAT(result.err, Contains("seed 1, ") && Contains("seed 8, ") && Contains("tokens/s\n"));
    CHECK_THAT(result.err, !Contains(">"));
  }
}

TEST_CASE("a session fills blanks, in every strategy", "[sample][cpu]") {
  const SmallRun run("llada");
  const ProcessResult result =
      session(run,
              "/fill the ___ and _\n/strategy threshold\n/threshold 0\n/again\n/strategy random\n"
              "/steps 2\n/again\n");
  INFO(result.err);
  CHECK(result.code == 0);
  const std::string blanks = "the ___ and _";
  CHECK(result.out == text_of(run, {"--template", blanks}) + kLine +
                          text_of(run, {"--template", blanks, "--strategy", "threshold",
                                        "--threshold", "0", "--seed", "2"}) +
                          kLine +
                          text_of(run, {"--template", blanks, "--strategy", "random", "--steps",
                                        "2", "--seed", "3"}));
}

TEST_CASE("what is wrong with a line is told, and the session goes on", "[sample][cpu]") {
  const SmallRun run("llada");
  const auto says = [&](const std::string& line, const std::string& answer) {
    CAPTURE(line);
    const ProcessResult result = session(run, line + "\nthe \n");
    CHECK(result.code == 0);
    CHECK(result.out == text_of(run, {"--prompt", "the "}));
    CHECK_THAT(result.err, Contains(answer));
  };
  says("th\u00e9", "position 2");
  says("the king and the king", "the prompt has 21 characters and the model's context is 16");
  says("/temprature 1", "/temprature: did you mean /temperature? /help lists commands\n");
  says("/temperature", "/temperature: give a value\n");
  says("/temperature warm", "/temperature warm: give a number\n");
  says("/length 1.5", "/length 1.5: give a whole number\n");
  says("/seed -1", "--seed -1: must be a whole number from 0\n");
  says("/set n 0", "--n 0: give at least 1\n");
  says("/strategy best", "best");
  says("/threshold 0.5", "--threshold 0.5 is of another strategy than low_confidence");
  says("/length 17", "--length 17: give 1 to 16");
  says("/watch maybe", "/watch maybe: give on or off\n");
  says("/again", "/again: nothing was written yet; give a prompt\n");
  says("/html page.html", "/html page.html: nothing was written yet");
  says("/html", "/html: give a file\n");
  says("/fill", "/fill: give a text with blanks (_)\n");
  says("/", "/: /help lists commands\n");
  says("//", "");

  const SmallRun ar("ar");
  const ProcessResult result = session(ar, "/fill a_\n/steps 4\nthe ");
  CHECK(result.out == text_of(ar, {"--prompt", "the "}));
  CHECK_THAT(result.err, Contains("cannot fill blanks") && Contains("leave out --steps"));
}

TEST_CASE("a session shows and resets its settings, and ends at /quit", "[sample][cpu]") {
  const SmallRun run("llada");
  const ProcessResult result =
      session(run, "/top-k 5\n/set\n/reset\n/help\n/quit\nthe \n", "--temperature 0.7");
  CHECK(result.code == 0);
  CHECK(result.out.empty());
  CHECK_THAT(result.err, Contains("  temperature   0.7\n  top-k         5\n") &&
                             Contains("  temperature   0.7\n  top-k         0\n") &&
                             Contains("  strategy      low_confidence\n") && Contains("/again"));
  const SmallRun ar("ar");
  CHECK_THAT(session(ar, "/set\n").err, !Contains("strategy") && Contains("  seed          1\n"));
}

TEST_CASE("a session writes its last texts as a page", "[sample][cpu]") {
  const SmallRun run("llada");
  const std::string page = run.file("page.html").string();
  const ProcessResult result =
      session(run, "the \n/html " + page + "\n/html " + page + "/x.html\n/html no/x.html\n");
  CHECK(result.code == 0);
  CHECK_THAT(result.err, Contains(page + "\n") && Contains("there is no folder"));
  run.masque("sample", {"--prompt", "the ", "--html", run.file("other.html").string()});
  const auto frames = [](const std::string& text) {
    return text.substr(text.find("application/json"),
                       text.find("</script>") - text.find("application/json"));
  };
  CHECK(frames(slurp(page)) == frames(slurp(run.file("other.html"))));
}

TEST_CASE("a session refuses at once what can never be", "[sample][cpu]") {
  const SmallRun ar("ar");
  const auto refuses = [&](Words options, const std::string& words) {
    options.insert(options.begin(), "--interactive");
    CHECK_THAT(ar.refusal("sample", options), Contains(words));
  };
  refuses({"--strategy", "random"}, "leave out --strategy");
  refuses({"--prompt", "a"}, "exclude each other");
  refuses({"--json"}, "exclude each other");
  refuses({"--html", "a.html"}, "exclude each other");
}

TEST_CASE("on a terminal a session prompts, and edits and remembers lines", "[sample][cpu]") {
  const SmallRun run("ar");
  // A dumb terminal has what a build without libedit has.
  for (const std::string kind : {"xterm-256color", "dumb"}) {
    CAPTURE(kind);
    TerminalSetup setup;
    setup.columns = 80;
    setup.kind = kind;
    TerminalProgram program(MASQUE_BINARY, {"sample", run.path(), "--interactive", "--no-watch"},
                            setup);
    std::size_t at = program.read_until("> ", program.read_until("Ctrl-D ends."));
    program.type("the \r");
    at = program.read_until("> ", program.read_until("seed 1, ", at));
    // Ctrl-C gives up what is typed.
    program.type("the knig");
    at = program.read_until("the knig", at);
    program.type("\003");
    at = program.read_until("> ", at);
#if MASQUE_LIBEDIT
    const bool edits = kind != "dumb";
#else
    const bool edits = false;
#endif
    program.type(edits ? "\033[A\r" : "the \r");  // the line before
    at = program.read_until("> ", program.read_until("seed 1, ", at));
    program.type("\004");
    CHECK(program.wait() == 0);
    const std::string text = text_of(run, {"--prompt", "the "});
    const std::string line = text.substr(0, text.find('\n'));
    const std::size_t first = program.received().find(line);
    REQUIRE(first != std::string::npos);
    CHECK(program.received().find(line, first + 1) != std::string::npos);
  }
}

TEST_CASE("Ctrl-C stops a text, not the session", "[sample][cpu]") {
  const SmallRun run("llada", {"context=48"});
  TerminalSetup setup;
  setup.columns = 80;
  TerminalProgram program(MASQUE_BINARY, {"sample", run.path(), "--interactive"}, setup);
  std::size_t at = program.read_until("> ", program.read_until("Ctrl-D ends."));
  program.type("the \r");
  at = program.read_until("step 1", at);
  program.type("\003");
  at = program.read_until("stopped after step ", at);
  at = program.read_until("> ", at);
  program.type("/watch off\r");
  at = program.read_until("> ", at);
  program.type("the king\r");
  at = program.read_until("seed 1, low_confidence", at);
  at = program.read_until("> ", at);
  program.type("/quit\r");
  CHECK(program.wait() == 0);
}

}  // namespace
}  // namespace masque::test
