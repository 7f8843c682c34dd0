// masque sample --html, and the recording that its page shows.
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "apps/sample/recording.h"
#include "models/tokenizer.h"
#include "tests/support/markup.h"
#include "tests/support/small_run.h"

namespace masque::test {
namespace {

using Catch::Matchers::Contains;
using Json = nlohmann::json;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Json generations_of(const std::string& page) {
  const std::string open = "<script type=\"application/json\">";
  const std::size_t from = page.find(open) + open.size();
  return Json::parse(page.substr(from, page.find("</script>", from) - from));
}

TEST_CASE("a recording holds every step that changed a text", "[sample][cpu]") {
  const Tokenizer tokenizer = Tokenizer::from_text("abc");
  const std::int32_t a = 4, b = 5, c = 6, mask = Tokenizer::kMask, start = Tokenizer::kStart;
  Recording recording({start, a, mask, mask, start, mask, mask, c}, 2);
  const auto step = [&](const std::vector<std::int32_t>& ids, const std::vector<double>& p) {
    recording.add({ids, p});
  };
  step({start, a, b, mask, start, mask, mask, c}, {kNan, kNan, 0.5, kNan, kNan, kNan, kNan, kNan});
  step({start, a, b, mask, start, b, mask, c}, {kNan, kNan, kNan, kNan, kNan, 0.25, kNan, kNan});
  // The first text's b is masked; then written again, the same, within a step in which c comes too.
  step({start, a, mask, mask, start, b, mask, c}, std::vector<double>(8, kNan));
  step({start, a, b, mask, start, b, a, c}, {kNan, kNan, 0.75, kNan, kNan, kNan, 1, kNan});
  step({start, a, b, c, start, b, a, c}, {kNan, kNan, 0.125, 0.5, kNan, kNan, kNan, kNan});

  const auto frame = [](int at, const char* text, Json fresh, Json confidence) {
    return Json{{"step", at},
                {"text", text},
                {"fresh", std::move(fresh)},
                {"confidence", std::move(confidence)}};
  };
  const Json none = Json::array();
  CHECK(recording.frames(tokenizer, 0) ==
        Json::array({frame(0, "a__", none, none), frame(1, "ab_", {1}, {0.5}),
                     frame(3, "a__", none, none), frame(4, "ab_", {1}, {0.75}),
                     frame(5, "abc", {1, 2}, {0.125, 0.5})}));
  CHECK(recording.frames(tokenizer, 1) ==
        Json::array({frame(0, "__c", none, none), frame(2, "b_c", {0}, {0.25}),
                     frame(4, "bac", {1}, {1.0})}));
}

TEST_CASE("sample --html writes the generation as a page of its own", "[sample][cpu]") {
  for (const std::string objective : {"llada", "ar"}) {
    CAPTURE(objective);
    const SmallRun run(objective);
    const std::string file = run.file("page.html").string();
    spill(file, "an older page");
    const ProcessResult result =
        run.masque("sample", {"--prompt", "the ", "--n", "2", "--html", file});
    CHECK(result.code == 0);
    CHECK(result.out == run.masque("sample", {"--prompt", "the ", "--n", "2"}).out);
    CHECK_THAT(result.err, Catch::EndsWith(file + "\n"));

    const std::string page = slurp(file);
    const Markup markup = read_markup(page);
    CHECK(markup.elements.count("section") == 1);
    CHECK(markup.elements.count("nav") == 0);
    CHECK_THAT(page, Contains("content=\"default-src 'none'; ") && Contains("<h1>run writes</h1>"));
    for (const char* outside : {"http:", "https:", "src=", "@import", "<link", "<img"}) {
      CHECK_THAT(page, !Contains(outside));
    }
    const Json generations = generations_of(page);
    REQUIRE(generations.size() == 2);
    std::string texts;
    for (const Json& generation : generations) {
      const Json& frames = generation["frames"];
      REQUIRE(frames.size() == 13);
      CHECK(frames[0]["text"] == "the ____________");
      for (std::size_t i = 1; i < frames.size(); ++i) {
        CHECK(frames[i]["step"] == i);
        REQUIRE(frames[i]["fresh"].size() == 1);
        const double confidence = frames[i]["confidence"][0];
        CHECK(confidence > 0);
        CHECK(confidence <= 1);
        if (objective == "ar") CHECK(frames[i]["fresh"][0] == 3 + i);
      }
      texts += (texts.empty() ? "" : "----------------------------------------\n") +
               frames.back()["text"].get<std::string>() + "\n";
    }
    CHECK(texts == result.out);
  }
}

TEST_CASE("sample --html goes with templates, strategies and JSON", "[sample][cpu]") {
  const SmallRun run("llada");
  const std::string file = run.file("page.html").string();
  const Json json = run.json("sample", {"--template", "the _ and __", "--strategy", "remask",
                                        "--steps", "9", "--html", file});
  const std::string page = slurp(file);
  CHECK_THAT(page, Contains("the _ and __") && Contains("remask-share 0.1, "));
  CHECK(generations_of(page)[0]["frames"].back()["text"] == json["samples"][0]["text"]);
}

TEST_CASE("sample --html refuses a file that cannot be, before it generates", "[sample][cpu]") {
  const SmallRun run("llada");
  CHECK_THAT(run.refusal("sample", {"--html", run.file("no/page.html").string()}),
             Contains("no/page.html: there is no folder ") && Contains("make it first"));
  CHECK_THAT(run.refusal("sample", {"--html", run.path()}),
             Contains("is a folder; give a file in it"));
}

}  // namespace
}  // namespace masque::test
