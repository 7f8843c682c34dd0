// masque sample on a terminal: what one shows, through a pseudo-terminal.
#include <algorithm>
#include <csignal>
#include <regex>

#include "models/utf8.h"
#include "tests/support/small_run.h"
#include "tests/support/terminal.h"

namespace masque::test {
namespace {

using Catch::Matchers::Contains;
using Words = std::vector<std::string>;

const std::string kBegin = "\033[?2026h", kEnd = "\033[?2026l";

Words command(const SmallRun& run, const Words& options) {
  Words words = {"sample", run.path()};
  words.insert(words.end(), options.begin(), options.end());
  return words;
}

std::size_t times(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) {
    ++count;
  }
  return count;
}

// The frames, each without what begins and ends it.
Words frames(const std::string& received) {
  Words pieces;
  for (std::size_t begin = 0; (begin = received.find(kBegin, begin)) != std::string::npos;) {
    begin += kBegin.size();
    pieces.push_back(received.substr(begin, received.find(kEnd, begin) - begin));
  }
  return pieces;
}

// What a terminal shows of a program's output.
std::string shown(const std::string& bytes, const TerminalSetup& setup = {}) {
  Screen screen(setup.columns, setup.rows);
  screen.write(bytes);
  CHECK(screen.plain());
  return screen.text();
}

// Of plain output, whose lines end as files have it.
std::string shown_plain(const std::string& text, const TerminalSetup& setup = {}) {
  return shown(std::regex_replace(text, std::regex("\n"), "\r\n"), setup);
}

std::string plain_output(const SmallRun& run, const Words& options) {
  const ProcessResult result = run.masque("sample", options);
  REQUIRE(result.code == 0);
  return result.out;
}

std::string on_terminal(const SmallRun& run, const Words& options,
                        const TerminalSetup& setup = {}) {
  TerminalProgram program(MASQUE_BINARY, command(run, options), setup);
  CHECK(program.wait() == 0);
  return program.received();
}

TEST_CASE("sample animates on a terminal and leaves the plain texts", "[sample][cpu]") {
  for (const std::string objective : {"llada", "ar"}) {
    const SmallRun run(objective, {"context=48"});
    for (const Words& options : {Words{"--prompt", "the "}, Words{"--n", "3"},
                                 Words{"--n", "2", "--temperature", "0.5", "--seed", "4"}}) {
      CAPTURE(objective, options);
      for (const bool colour : {true, false}) {
        TerminalSetup setup;
        setup.colour = colour;
        const std::string received = on_terminal(run, options, setup);
        CHECK(frames(received).size() > 10);
        CHECK(times(received, kBegin) == times(received, kEnd));
        // Nothing but the texts and the last line, also not scrolled away.
        const std::string texts = shown_plain(plain_output(run, options));
        const std::string all = shown(received);
        CHECK(all.substr(0, texts.size()) == texts);
        CHECK(std::regex_match(all.substr(texts.size()),
                               std::regex("(low_confidence|autoregressive), 4[48] steps[^!]*s\n")));
        CHECK((received.find("\033[0") != std::string::npos) == colour);
      }
    }
  }
}

TEST_CASE("sample animates every strategy", "[sample][cpu]") {
  const SmallRun run("llada");
  for (const std::string strategy : {"ancestral", "random", "margin", "threshold", "remask"}) {
    CAPTURE(strategy);
    const Words options = {"--strategy",     strategy, "--template", "the _____ and __",
                           "--block-length", "8",      "--steps",    "9"};
    const std::string texts = shown_plain(plain_output(run, options));
    CHECK(shown(on_terminal(run, options)).substr(0, texts.size()) == texts);
  }
}

TEST_CASE("a frame has what is written, blocks, colours and a caption", "[sample][cpu]") {
  TerminalSetup setup;
  setup.columns = 90;
  const SmallRun llada("llada");
  const Words of_llada = frames(on_terminal(llada, {"--prompt", "the "}, setup));
  REQUIRE(of_llada.size() >= 3);
  CHECK_THAT(of_llada[0], Contains("\033[0;1mthe \033[0;2m\u2591") &&
                              Contains("step 0/12\033[0m  \033[0;2m12 masked") &&
                              !Contains("tokens/s"));
  const std::u32string first = decode_utf8(of_llada[1]);
  CHECK(std::count(first.begin(), first.end(), U'\u2591') == 11);
  CHECK_THAT(of_llada[1], Contains("step 1/12\033[0m  \033[0;2m11 masked") &&
                              Contains(" tokens/s") && Contains("p \u2265 0.9") &&
                              Contains("\033[0;1;3"));
  // What the last step wrote is bold, once.
  CHECK(times(of_llada[1], "\033[0;1;3") == 1);
  CHECK(times(of_llada.back(), "\033[0;1;3") == 0);
  CHECK_THAT(of_llada.back(), !Contains("step"));

  const SmallRun ar("ar");
  const Words of_ar = frames(on_terminal(ar, {"--prompt", "the "}, setup));
  REQUIRE(of_ar.size() >= 3);
  // What comes next is one block.
  CHECK(times(of_ar[0], "\u2591") == 1);
  CHECK(times(of_ar[1], "\u2591") == 1);
  CHECK_THAT(of_ar[1], Contains("step 1/12\033[0m  \033[0;2m11 masked"));
}

TEST_CASE("frames are at most 30 a second, and slow enough to be seen", "[sample][cpu]") {
  const SmallRun run("llada", {"context=200"});
  TerminalProgram program(MASQUE_BINARY, command(run, {"--strategy", "random"}));
  program.read_until("step 1");
  REQUIRE(program.wait() == 0);
  const auto count = static_cast<double>(frames(program.received()).size());
  // The first and the texts at the end come when they are due.
  CHECK(count - 2 <= 30 * program.seconds() + 1);
  CHECK(program.seconds() > 1.5);
  CHECK(count > 20);
}

TEST_CASE("texts longer than the terminal show what is written next", "[sample][cpu]") {
  const SmallRun run("ar", {"context=64"});
  TerminalSetup setup;
  setup.columns = 7;
  setup.rows = 6;
  const std::string received = on_terminal(run, {}, setup);
  const std::string texts = shown_plain(plain_output(run, {}), setup);
  REQUIRE(std::count(texts.begin(), texts.end(), '\n') > 6);
  CHECK(shown(received, setup).substr(0, texts.size()) == texts);
  const Words pieces = frames(received);
  for (std::size_t i = 0; i + 1 < pieces.size(); ++i) {
    CHECK(times(pieces[i], "\n") <= 5);
    CHECK(times(pieces[i], "\u2591") == (i + 2 < pieces.size() ? 1 : times(pieces[i], "\u2591")));
  }
}

TEST_CASE("a frame follows the terminal's size", "[sample][cpu]") {
  const SmallRun run("llada", {"context=48"});
  const std::string plain = plain_output(run, {});
  for (const unsigned short columns : {11, 60}) {
    CAPTURE(columns);
    TerminalSetup setup;
    TerminalProgram program(MASQUE_BINARY, command(run, {}), setup);
    program.read_until("step 1");
    // Between two frames, so that the screen here turns at the same time.
    program.signal(SIGSTOP);
    program.drain();
    Screen screen(setup.columns, setup.rows);
    screen.write(program.received());
    const std::size_t before = program.received().size();
    program.resize(columns, setup.rows);
    screen.resize(columns);
    program.signal(SIGCONT);
    REQUIRE(program.wait() == 0);
    screen.write(program.received().substr(before));
    setup.columns = columns;
    const std::string texts = shown_plain(plain, setup);
    CHECK(screen.text().substr(0, texts.size()) == texts);
  }
}

TEST_CASE("wide characters, tabs and line breaks keep their places", "[sample][cpu]") {
  const Scratch folder;
  std::string text;
  for (int i = 0; i < 400; ++i) text += "\u4e2d\u6587\tab\n\u5b57cd ef\n\n";
  spill(folder / "text.txt", text);
  const std::string run = (folder / "run").string();
  REQUIRE(run_program(MASQUE_BINARY,
                      {"train", run, "--objective", "llada", "--data",
                       (folder / "text.txt").string(), "--preset", "tiny", "--set", "layers=1",
                       "heads=2", "width=16", "mlp_width=32", "context=32", "batch=4", "steps=2",
                       "eval_every=2", "eval_windows=4", "eval_draws=2"})
              .code == 0);
  TerminalSetup setup;
  setup.columns = 9;
  const Words options = {"sample", run, "--prompt",
                         "\u4e2d\u6587\u4e2d\u6587\u4e2d\u6587a\u4e2d\n"};
  TerminalProgram program(MASQUE_BINARY, options, setup);
  REQUIRE(program.wait() == 0);
  // Tabs come in the texts at the end alone, and the screen here has none.
  const Words pieces = frames(program.received());
  for (std::size_t i = 0; i + 1 < pieces.size(); ++i) CHECK_THAT(pieces[i], !Contains("\t"));
  Screen screen(setup.columns, 40);
  for (std::size_t i = 0; i + 1 < pieces.size(); ++i) screen.write(pieces[i]);
  // No line was folded by the terminal: up goes as far as the frame is high.
  CHECK(screen.text().find("\u4e2d\u6587\u4e2d\u6587\n\u4e2d\u6587a\u4e2d\n") == 0);
  CHECK(times(screen.text(), "step") == 1);
}

TEST_CASE("what is refused is refused before anything is shown", "[sample][cpu]") {
  const SmallRun run("llada");
  for (const Words& options : {Words{"--cfg", "1"}, Words{"--temperature", "-1"},
                               Words{"--block-length", "4", "--steps", "3"}}) {
    TerminalProgram program(MASQUE_BINARY, command(run, options));
    CHECK(program.wait() == 2);
    CHECK_THAT(program.received(), Catch::StartsWith("masque: ") && !Contains("\033"));
  }
}

TEST_CASE("without --watch, on a dumb terminal or with --no-watch nothing moves", "[sample][cpu]") {
  const SmallRun run("llada");
  TerminalSetup setup;
  setup.columns = 80;
  const std::string texts = shown_plain(plain_output(run, {}), setup);
  TerminalSetup dumb = setup;
  dumb.kind = "dumb";
  const std::string on_dumb = on_terminal(run, {}, dumb);
  CHECK_THAT(on_dumb, !Contains("\033"));
  CHECK(shown(on_dumb, dumb).substr(0, texts.size()) == texts);
  const std::string still = on_terminal(run, {"--no-watch"}, setup);
  CHECK_THAT(still, !Contains(kBegin));
  CHECK(shown(still, setup).substr(0, texts.size()) == texts);
  // --watch there shows the states one after another.
  CHECK_THAT(on_terminal(run, {"--watch"}, dumb), Contains("step 12\r\n") && !Contains("\033"));
  CHECK_THAT(on_terminal(run, {"--json"}), !Contains(kBegin) && Contains("\"samples\""));
}

TEST_CASE("--watch with the texts piped leaves the last frame on stderr", "[sample][cpu]") {
  const SmallRun run("llada");
  TerminalSetup setup;
  setup.piped = true;
  CHECK_THAT(on_terminal(run, {}, setup), !Contains(kBegin));
  const std::string all = shown(on_terminal(run, {"--watch"}, setup));
  CHECK_THAT(all, Contains("step 16/16  0 masked"));
  CHECK_THAT(all, Contains("low_confidence, 16 steps") && !Contains("\u2591"));
}

TEST_CASE("an interrupted animation leaves the terminal as it should be", "[sample][cpu]") {
  const SmallRun run("llada", {"context=48"});
  TerminalProgram program(MASQUE_BINARY, command(run, {}));
  program.read_until("step 1");
  program.type("\003");
  CHECK(program.wait() == 128 + SIGINT);
  const std::string& received = program.received();
  CHECK(times(received, kBegin) == times(received, kEnd));
  CHECK_THAT(received, !Contains("?25l"));
  CHECK_THAT(shown(received), Contains("masked\n"));
}

}  // namespace
}  // namespace masque::test
