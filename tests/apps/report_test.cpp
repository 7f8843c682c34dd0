// The pages of a comparison, made from an invented results.json.
#include "apps/report/report.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "apps/report/render.h"
#include "apps/report/sections.h"
#include "tests/support/catch.h"
#include "tests/support/compare_results.h"
#include "tests/support/markup.h"
#include "tests/support/scratch.h"

using Catch::Matchers::Contains;

namespace masque {
namespace {

namespace fs = std::filesystem;

using Json = nlohmann::json;
using report::Document;
using report::make_document;
using report::Results;
using test::compare_results;
using test::empty_compare_results;
using test::Scratch;
using test::slurp;

const std::vector<std::string> kSections = {"reading",   "headline",  "differences", "curves",
                                            "places",    "samples",   "viewer",      "quality",
                                            "ablations", "estimates", "protocol",    "missing"};

Document document_of(const Json& results) {
  return make_document(Results(results));
}

std::string html_of(const Json& results) {
  return to_html(document_of(results));
}

std::string answer_of(const Json& results) {
  std::string text;
  for (const std::string& paragraph : report::answer(Results(results))) text += paragraph + "\n";
  return text;
}

std::size_t times(const std::string& text, const std::string& part) {
  std::size_t number = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++number;
  }
  return number;
}

TEST_CASE("report.html is well formed, self-contained and has every section in order", "[cpu]") {
  for (const Json& results : {compare_results(), empty_compare_results()}) {
    const std::string page = html_of(results);
    const test::Markup markup = test::read_markup(page);
    CHECK(markup.fault.empty());
    INFO(markup.fault);
    for (const std::string& id : markup.ids) {
      INFO(id);
      CHECK(markup.ids.count(id) == 1);
    }
    std::size_t at = 0;
    for (const std::string& id : kSections) {
      INFO(id);
      const std::size_t found = page.find("<section id=\"" + id + "\"");
      REQUIRE(found != std::string::npos);
      CHECK(found > at);
      at = found;
      CHECK_THAT(page, Contains("<a href=\"#" + id + "\">"));
    }
    CHECK_THAT(page, Contains("content=\"default-src 'none'; style-src 'unsafe-inline'; "));
    for (const char* outside :
         {"http:", "https:", "src=", "@import", "url(data", "<link", "<img"}) {
      INFO(outside);
      CHECK_THAT(page, !Contains(outside));
    }
  }
}

TEST_CASE("report.html escapes what texts hold", "[cpu]") {
  const std::string page = html_of(compare_results());
  CHECK_THAT(page, Contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;thou&quot; "
                            "&#39;st_ né | *so* `ill`: 中"));
  CHECK_THAT(page, !Contains("<script>alert"));
  CHECK(times(page, "<script") == 2);  // the generations, and what steps through them
  CHECK_THAT(page, Contains("LLaDA and AR on a &amp; b.txt"));
  // The generations come back whole from the page.
  const std::string open = "<script type=\"application/json\">";
  const std::size_t from = page.find(open) + open.size();
  const Json generations = Json::parse(page.substr(from, page.find("</script>", from) - from));
  REQUIRE(generations.size() == 2);
  CHECK(generations[0]["frames"] == compare_results()["viewer"][0]["frames"]);
  // And the final text is there without scripts.
  CHECK_THAT(page.substr(0, from), Contains("class=\"finals\""));
}

TEST_CASE("report.html describes plots and heads tables for those who do not see them", "[cpu]") {
  const std::string page = html_of(compare_results());
  const test::Markup markup = test::read_markup(page);
  const std::size_t plots = markup.elements.count("svg");
  CHECK(plots == 2 * (1 + 1 + 6 + 2 + 6 + 1));  // each wide and narrow
  CHECK(times(page, "role=\"img\"") == plots);
  CHECK(markup.elements.count("desc") == plots);
  CHECK(times(page, "<th ") == markup.elements.count("th"));
  CHECK(times(page, "scope=\"row\"") + times(page, "scope=\"col\"") == markup.elements.count("th"));
  CHECK(times(page, "scope=\"row\"") == markup.elements.count("tr") - times(page, "<thead>"));
  CHECK(markup.elements.count("figcaption") == markup.elements.count("figure"));
}

TEST_CASE("every caption of a measurement says seeds and configuration", "[cpu]") {
  int captions = 0;
  for (const report::Section& section : document_of(compare_results()).sections) {
    if (section.id == "protocol") continue;
    for (const report::Block& block : section.blocks) {
      std::string caption;
      if (const auto* table = std::get_if<report::Table>(&block)) caption = table->caption;
      if (const auto* figure = std::get_if<report::Figure>(&block)) caption = figure->caption;
      if (const auto* samples = std::get_if<report::Samples>(&block)) caption = samples->caption;
      if (const auto* viewer = std::get_if<report::Viewer>(&block)) caption = viewer->caption;
      if (caption.empty()) continue;
      ++captions;
      CHECK_THAT(caption, Contains("Seed") && Contains("config 0a1b2c3d (LLaDA), 4e5f6a7b (AR)"));
    }
  }
  CHECK(captions == 15);
}

TEST_CASE("the headline labels bounds, exact likelihoods and means", "[cpu]") {
  const std::string page = to_markdown(document_of(compare_results()));
  CHECK_THAT(page, Contains("| unigram | counts of train | – | exact | = 3.3070 | – | = 4.7710"));
  CHECK_THAT(page, Contains("| LLaDA | NELBO | – | upper bound | ≤ 2.1500 | 2.1370 to 2.1630 | "
                            "≤ 3.1018 | ≤ 8.585 | 1,743 |"));
  CHECK_THAT(page, Contains("| LLaDA | chain | random | mean of exact | \\~ 2.1300"));
  CHECK_THAT(page, Contains("| AR | exact | – | exact | = 1.4940"));
  CHECK_THAT(page, Contains("| LLaDA NELBO − AR | +0.6560 | +0.6360 to +0.6760 | no |"));
  CHECK_THAT(page, Contains("| NELBO − mean random chain | +0.0030 | −0.0070 to +0.0130 | yes |"));
}

TEST_CASE("the answer says no more than the numbers", "[cpu]") {
  Json results = compare_results();
  std::string answer = answer_of(results);
  CHECK_THAT(answer, Contains("AR costs =\u00a01.4940 nats a token, and LLaDA ≤\u00a02.1500"));
  CHECK_THAT(answer, Contains("+0.6560 (95% across 3 seeds +0.6360 to +0.6760). LLaDA's number is "
                              "an upper bound, so the gap is at most that, and the bound alone "
                              "does not show AR to be better."));
  CHECK_THAT(answer, Contains("LLaDA chain, largest margin first"));
  CHECK_THAT(answer, Contains("costs =\u00a01.9800"));
  CHECK_THAT(answer, Contains("(the order that was best on val)"));
  CHECK_THAT(answer, Contains("+0.4860") && Contains("both are exact, and AR is better"));

  SECTION("an interval that includes 0") {
    results["differences"][1]["nats"] = 0.01;
    results["differences"][1]["across_seeds"] = {-0.02, 0.04};
    answer = answer_of(results);
    CHECK_THAT(answer, Contains("the interval includes 0, so neither is shown to be better"));
    CHECK_THAT(answer, !Contains("is better"));
  }
  SECTION("a bound below AR") {
    results["differences"][0]["nats"] = -0.2;
    results["differences"][0]["across_seeds"] = {-0.3, -0.1};
    CHECK_THAT(answer_of(results), Contains("LLaDA is better, by at least that"));
    results["differences"][0]["across_seeds"] = {-0.5, 0.1};
    CHECK_THAT(answer_of(results), Contains("the two are not separated by it"));
  }
  SECTION("LLaDA exactly below AR") {
    results["differences"][1]["nats"] = -0.2;
    results["differences"][1]["across_seeds"] = {-0.3, -0.1};
    CHECK_THAT(answer_of(results), Contains("LLaDA decoded so is better"));
  }
  SECTION("one seed") {
    results["protocol"]["seeds"] = {1};
    for (Json& difference : results["differences"]) difference["across_seeds"] = nullptr;
    results["differences"][1]["paired"][0]["interval"] = {-0.1, 0.9};
    answer = answer_of(results);
    CHECK_THAT(answer, Contains("95% over windows, seed 1 alone, −0.1000 to +0.9000"));
    CHECK_THAT(answer, Contains("neither is shown to be better") && Contains("One seed:"));
  }
  SECTION("no interval") {
    results["differences"][1]["across_seeds"] = nullptr;
    results["differences"][1]["paired"] = Json::array();
    CHECK_THAT(answer_of(results), Contains("no interval is known), so neither is shown"));
  }
  SECTION("AR on the chains' windows too") {
    Json few = results["headline"][5];
    few["windows"] = 256;
    few["nats"] = 1.4;
    results["headline"].push_back(few);
    CHECK_THAT(answer_of(results), Contains("AR costs =\u00a01.4940"));  // of more windows
  }
  SECTION("no differences") {
    results["differences"] = Json::array();
    answer = answer_of(results);
    CHECK_THAT(answer, Contains("so no gap is stated") && !Contains("better"));
  }
}

TEST_CASE("report.md has tables of equal rows, and a plot for each that it names", "[cpu]") {
  const Scratch folder;
  write_report(compare_results(), folder.path());
  CHECK(slurp(folder / "report.html") == html_of(compare_results()));
  const std::string page = slurp(folder / "report.md");
  CHECK(page == to_markdown(document_of(compare_results())));

  const std::regex bar(R"(\\.)");  // escaped characters do not part cells
  std::istringstream stream(page);
  std::size_t columns = 0, tables = 0, rows = 0;
  std::string fence;
  for (std::string line; std::getline(stream, line);) {
    if (line.rfind("```", 0) == 0 && (fence.empty() || line == fence)) {
      fence = fence.empty() ? line.substr(0, line.find_first_not_of('`')) : "";
      continue;
    }
    if (!fence.empty()) continue;
    const std::string plain = std::regex_replace(line, bar, "");
    CHECK_THAT(plain, !Contains("<"));  // no text becomes a tag
    if (plain.rfind("|", 0) != 0) {
      columns = 0;
      continue;
    }
    const std::size_t bars = times(plain, "|");
    INFO(line);
    if (columns == 0) ++tables;
    CHECK((columns == 0 || bars == columns));
    columns = bars;
    ++rows;
  }
  CHECK(fence.empty());
  CHECK(tables == 11);
  CHECK(rows > 2 * tables);

  const std::regex image(R"(!\[[^\]]*\]\((plots/[a-z_0-9-]+\.svg)\))");
  std::size_t plots = 0;
  for (std::sregex_iterator found(page.begin(), page.end(), image), end; found != end; ++found) {
    const std::string plot = slurp(folder / (*found)[1].str());
    INFO((*found)[1].str());
    CHECK(test::read_markup(plot).fault.empty());
    CHECK(times(plot, "http") == 1);  // the namespace
    ++plots;
  }
  const fs::directory_iterator files(folder / "plots");
  CHECK(plots == static_cast<std::size_t>(std::distance(fs::begin(files), fs::end(files))));
  CHECK(plots == 17);
}

TEST_CASE("reports say what is missing", "[cpu]") {
  const Json results = empty_compare_results();
  for (const std::string& page : {html_of(results), to_markdown(document_of(results))}) {
    CHECK_THAT(page, Contains("This comparison is not complete"));
    CHECK_THAT(page, Contains("there is no answer"));
    CHECK(times(page, report::kNotPart) == 10);  // two in the section of places
    CHECK_THAT(page, Contains("training of llada-1") && Contains("quality"));
  }
  const std::string complete = html_of(compare_results());
  CHECK_THAT(complete, !Contains(report::kNotPart) && !Contains("is not complete"));
  CHECK_THAT(complete, Contains("every part that was planned is here"));
}

TEST_CASE("results.json: a whole number is one that f64 can tell from the next", "[cpu]") {
  const auto integer = [](const Json& value) {
    const Json json = {{"n", value}};
    return report::Field(json, "").integer("n");
  };
  CHECK(integer(-3) == -3);
  CHECK(integer(12.0) == 12);
  for (const Json& value : {Json(1e300), Json(0.5), Json("1"), Json(UINT64_MAX)}) {
    CHECK_THROWS_WITH(integer(value), Contains("where a whole number is needed"));
  }
}

}  // namespace
}  // namespace masque
