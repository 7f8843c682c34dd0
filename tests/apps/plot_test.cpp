// masque plot as a user runs it.
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/log_folder.h"
#include "tests/support/markup.h"
#include "tests/support/process.h"
#include "tests/support/scratch.h"

using Catch::Matchers::Contains;

namespace masque::test {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

// What masque plot draws of `runs`, folders in `scratch`.
std::string drawn(const Scratch& scratch, const Words& runs, const Words& options = {}) {
  Words words = {"plot"};
  words.insert(words.end(), runs.begin(), runs.end());
  words.insert(words.end(), options.begin(), options.end());
  const ProcessResult result = run_program(MASQUE_BINARY, words, scratch.path());
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK(result.out == "curves.svg\n");
  const std::string svg = slurp(scratch / "curves.svg");
  CHECK(read_markup(svg).fault.empty());
  return svg;
}

// Points of the curves of a style: one list a curve.
std::vector<std::size_t> curve_sizes(const std::string& svg, const std::string& style) {
  std::vector<std::size_t> sizes;
  const std::regex curve("class=\"curve c-" + style + "\" d=\"([^\"]*)\"");
  for (std::sregex_iterator found(svg.begin(), svg.end(), curve), end; found != end; ++found) {
    const std::string path = (*found)[1];
    sizes.push_back(static_cast<std::size_t>(
        std::count_if(path.begin(), path.end(), [](char c) { return c == 'M' || c == 'L'; })));
  }
  return sizes;
}

TEST_CASE("masque plot draws each run's val, exact or a bound, light and dark", "[cpu]") {
  const Scratch scratch;
  log_folder(scratch / "left", ObjectiveKind::llada, 40, {{10, 2.5, 2.6}, {20, 2.0, 2.2}});
  log_folder(scratch / "right", ObjectiveKind::ar, 40,
             {{10, 1.9, 2.0}, {20, 1.5, 1.75}, {30, 1.4, 1.8}});
  std::string svg = drawn(scratch, {"left", "right/"});
  CHECK_THAT(svg, Contains("left ≤ 2.2000<") && Contains("right = 1.7500<"));
  CHECK_THAT(svg, Contains("nats a token of val (64 x 128 tokens): = exact (AR), ≤ an upper bound "
                           "(LLaDA)<"));
  CHECK_THAT(svg, Contains("prefers-color-scheme: dark") && Contains(">steps<"));
  CHECK_THAT(svg, Contains("right: step 20, = 1.7500 nats"));
  CHECK_THAT(svg, !Contains("differ"));
  CHECK(curve_sizes(svg, "llada") == std::vector<std::size_t>{2});
  CHECK(curve_sizes(svg, "ar") == std::vector<std::size_t>{3});

  svg = drawn(scratch, {"left"}, {"--x", "tokens", "--split", "both"});
  CHECK_THAT(
      svg, Contains("tokens read") && Contains("val, dashed of train") && !Contains("exact (AR)"));
  CHECK(curve_sizes(svg, "llada") == std::vector<std::size_t>{2});
  CHECK(curve_sizes(svg, "llada dashed") == std::vector<std::size_t>{2});
  svg = drawn(scratch, {"right"}, {"--x", "seconds", "--split", "train"});
  CHECK_THAT(svg, Contains("seconds of training") && Contains("right = 1.4000<"));
  CHECK_THAT(drawn(scratch, {"right"}, {"--x", "epoch"}), Contains(">epochs<"));
}

TEST_CASE("masque plot draws val by the averaged weights, of runs that have them", "[cpu]") {
  const Scratch scratch;
  const fs::path run = log_folder(scratch / "run", ObjectiveKind::ar, 40, {{10, 1.9, 2.0}});
  std::ofstream(run / "metrics.jsonl", std::ios::app)
      << R"({"step":10,"split":"val_ema","loss":1.95})" << '\n'
      << R"({"step":20,"split":"val_ema","loss":1.85})" << '\n';
  const std::string svg = drawn(scratch, {"run"}, {"--split", "ema"});
  CHECK_THAT(svg, Contains("run = 1.8500<") && Contains("nats a token of val by the averaged"));
  CHECK(curve_sizes(svg, "ar") == std::vector<std::size_t>{2});
  CHECK_THAT(drawn(scratch, {"run"}, {"--split", "both"}), !Contains("1.8500"));

  log_folder(scratch / "plain", ObjectiveKind::ar, 40, {{10, 1.9, 2.0}});
  const ProcessResult refused =
      run_program(MASQUE_BINARY, {"plot", "plain", "--split", "ema"}, scratch.path());
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, Contains("was trained without an EMA of its weights (ema is 0)"));
}

TEST_CASE("masque plot tells runs of one kind apart, and says what does not compare", "[cpu]") {
  const Scratch scratch;
  log_folder(scratch / "a/run", ObjectiveKind::ar, 40, {{10, 1.9, 2.0}});
  log_folder(scratch / "b/run", ObjectiveKind::ar, 40, {{10, 1.9, 2.1}});
  const fs::path other = log_folder(scratch / "c", ObjectiveKind::ar, 40, {{10, 1.9, 2.2}});
  auto config = nlohmann::json::parse(slurp(other / "config.json"));
  config["data"]["tokens"] = 5000;
  spill(other / "config.json", config.dump());
  const std::string svg = drawn(scratch, {"a/run", "b/run", "c"});
  CHECK_THAT(svg, Contains("a/run = 2.0000<") && Contains("b/run = 2.1000<"));
  CHECK_THAT(svg, Contains("windows or texts differ: not all compare<"));
  CHECK_THAT(svg, Contains("mark c-ar\"") && Contains("mark c-s1\"") && Contains("mark c-s2\""));

  // Of many evaluations only the lowest has a mark.
  std::vector<LoggedEvaluation> many;
  for (int step = 1; step <= 60; ++step) {
    many.push_back({step, 1.5, 2 + (step - 30) * (step - 30) * 1e-3});
  }
  log_folder(scratch / "many", ObjectiveKind::llada, 60, many);
  const std::string curve = drawn(scratch, {"many"});
  CHECK(curve_sizes(curve, "llada") == std::vector<std::size_t>{60});
  const std::string mark = "class=\"mark c-llada\"";
  CHECK(curve.find(mark) == curve.rfind(mark));
  CHECK_THAT(curve, Contains("many: step 30, ≤ 2.0000 nats"));
}

}  // namespace
}  // namespace masque::test
