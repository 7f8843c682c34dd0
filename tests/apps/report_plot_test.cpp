// The plots of a report: numbers to pixels, ticks, and what is drawn.
#include <algorithm>
#include <cmath>
#include <regex>
#include <string>
#include <vector>

#include "apps/report/axis.h"
#include "apps/report/svg.h"
#include "tests/support/catch.h"
#include "tests/support/markup.h"

using Catch::Matchers::Contains;

namespace masque::report {
namespace {

struct Spot {
  double x, y;
};

// Where marks of a style are, in the order drawn.
std::vector<Spot> marks(const std::string& svg, const std::string& style) {
  std::vector<Spot> spots;
  const std::regex mark("class=\"mark c-" + style +
                        "[^\"]*\" transform=\"translate\\(([-0-9.]+) ([-0-9.]+)\\)");
  for (std::sregex_iterator found(svg.begin(), svg.end(), mark), end; found != end; ++found) {
    spots.push_back({std::stod((*found)[1]), std::stod((*found)[2])});
  }
  return spots;
}

struct Stroke4 {
  double x1, y1, x2, y2;
};

std::vector<Stroke4> lines(const std::string& svg, const std::string& style) {
  std::vector<Stroke4> strokes;
  const std::regex line("<line class=\"" + style +
                        "\" x1=\"([0-9.]+)\" y1=\"([0-9.]+)\" x2=\"([0-9.]+)\" y2=\"([0-9.]+)\"");
  for (std::sregex_iterator found(svg.begin(), svg.end(), line), end; found != end; ++found) {
    strokes.push_back({std::stod((*found)[1]), std::stod((*found)[2]), std::stod((*found)[3]),
                       std::stod((*found)[4])});
  }
  return strokes;
}

Interval none() {
  return {kNoNumber, kNoNumber};
}

TEST_CASE("report axes put numbers where they belong", "[cpu]") {
  const Axis linear{-2, 8, 300, 100, false};
  CHECK(linear.at(-2) == Approx(300));
  CHECK(linear.at(3) == Approx(200));
  CHECK(linear.at(8) == Approx(100));
  const Axis log{1, 1000, 0, 300, true};
  CHECK(log.at(1) == Approx(0).margin(1e-9));
  CHECK(log.at(10) == Approx(100));
  CHECK(log.at(1000) == Approx(300));

  const Axis around = axis_around({3, kNoNumber, 1, INFINITY, 2}, false);
  CHECK(around.lo == Approx(0.92));
  CHECK(around.hi == Approx(3.08));
  const Axis one = axis_around({2.5}, false);  // of a width, or at() would divide by 0
  CHECK(one.lo < 2.5);
  CHECK(one.hi > 2.5);
  const Axis powers = axis_around({-5, 0, 1, 100}, true);  // no logarithm of the first two
  CHECK(powers.lo == Approx(1 / std::pow(100, 0.04)));
  CHECK(powers.hi == Approx(100 * std::pow(100, 0.04)));
  for (const bool logarithmic : {false, true}) {
    const Axis empty = axis_around({}, logarithmic);
    CHECK(empty.lo < empty.hi);
  }
}

TEST_CASE("report axes have few ticks whatever the numbers", "[cpu]") {
  // Steps that are lost on large numbers once made an endless loop, and 0 and ∞ of a logarithm.
  const std::vector<std::vector<double>> extremes = {
      {1e20, 1e20 + 16384}, {1e12, 1e12 + 1e-3}, {-1e308, 1e308}, {5e-324, 1e308}, {1e-300, 1}};
  for (const std::vector<double>& numbers : extremes) {
    for (const bool logarithmic : {false, true}) {
      const Axis axis = axis_around(numbers, logarithmic);
      INFO(numbers[0] << " " << numbers[1] << " " << logarithmic);
      CHECK(std::isfinite(axis.lo));
      CHECK(std::isfinite(axis.hi));
      REQUIRE(axis.lo < axis.hi);
      CHECK(axis.ticks(7).size() <= 8);
    }
  }
}

TEST_CASE("report ticks are round, within the axis and few", "[cpu]") {
  CHECK(Axis{0, 1600, 0, 1, false}.ticks(9) ==
        std::vector<double>{0, 200, 400, 600, 800, 1000, 1200, 1400, 1600});
  const std::vector<double> tenths = Axis{1.38, 2.21, 0, 1, false}.ticks(6);
  REQUIRE(tenths.size() == 5);
  CHECK(tenths.front() == Approx(1.4));
  CHECK(tenths.back() == Approx(2.2));
  CHECK(Axis{1, 16, 0, 1, true}.ticks(5) == std::vector<double>{1, 2, 5, 10});
  CHECK(Axis{1, 1e6, 0, 1, true}.ticks(7).size() == 7);
  CHECK(Axis{1, 1e12, 0, 1, true}.ticks(7).size() <= 7);
  CHECK(Axis{21, 29, 0, 1, true}.ticks(5).size() >= 2);  // no power of ten within
  for (const double hi : {0.003, 0.7, 1.0, 4.2, 33.0, 8e15}) {
    for (const int most : {4, 6, 9}) {
      const Axis axis{-0.1 * hi, hi, 0, 1, false};
      const std::vector<double> ticks = axis.ticks(most);
      INFO(hi << " " << most);
      CHECK(ticks.size() >= 2);
      CHECK(static_cast<int>(ticks.size()) <= most + 1);
      CHECK(ticks.front() >= axis.lo * (1 + 1e-9));
      CHECK(ticks.back() <= axis.hi * (1 + 1e-9));
    }
  }
}

TEST_CASE("report tick labels are short", "[cpu]") {
  CHECK(tick_label(0) == "0");
  CHECK(tick_label(0.1 * 3) == "0.3");
  CHECK(tick_label(-0.02) == "−0.02");
  CHECK(tick_label(400) == "400");
  CHECK(tick_label(1600) == "1.6k");
  CHECK(tick_label(2e6) == "2M");
  CHECK(tick_label(2.5e15) == "2.5P");
  CHECK(tick_label(-1e-18) == "0");
}

TEST_CASE("a chart draws points, intervals and references to one scale", "[cpu]") {
  Chart chart;
  chart.x_label = "x & more";
  chart.y_label = "y";
  chart.series = {{"a <series>",
                   "llada",
                   {{0, 1, {0.5, 1.5}, "first \"note\""}, {5, 2, none(), ""}, {10, 3, none(), ""}},
                   Stroke::solid,
                   true},
                  {"gap",
                   "ar",
                   {{0, 1, none(), ""}, {5, kNoNumber, none(), ""}, {10, 2, none(), ""}},
                   Stroke::solid,
                   true}};
  chart.references = {{"level", "real", 2}};
  for (const int width : {kWide, kHalf, kNarrow}) {
    const std::string drawn = svg({"chart", "Title <1>", "What & how", chart}, width);
    INFO(drawn);
    CHECK(test::read_markup(drawn).fault.empty());
    CHECK_THAT(drawn, Contains("role=\"img\"") && Contains("<title id=\"chart-") &&
                          Contains("Title &lt;1&gt;") && Contains("What &amp; how") &&
                          Contains("a &lt;series&gt;"));
    CHECK_THAT(drawn, Contains("first &quot;note&quot;"));
    std::vector<Spot> spots = marks(drawn, "llada");
    REQUIRE(spots.size() >= 3);  // the legend's comes first where there is one
    spots.erase(spots.begin(), spots.end() - 3);
    CHECK(spots[1].x == Approx((spots[0].x + spots[2].x) / 2).margin(0.11));
    CHECK(spots[1].y == Approx((spots[0].y + spots[2].y) / 2).margin(0.11));
    CHECK(spots[0].x < spots[2].x);
    CHECK(spots[0].y > spots[2].y);  // up is more
    CHECK(spots[0].x > 20);
    CHECK(spots[2].x < width);
    const auto reference = lines(drawn, "curve dashed c-real");
    REQUIRE_FALSE(reference.empty());
    CHECK(reference.back().y1 == Approx(spots[1].y).margin(0.11));
    const auto whisker = lines(drawn, "whisker c-llada");
    REQUIRE(whisker.size() == 1);
    CHECK(whisker[0].x1 == Approx(spots[0].x).margin(0.11));
    CHECK(whisker[0].y1 - spots[0].y == Approx(spots[0].y - whisker[0].y2).margin(0.11));
    CHECK(whisker[0].y1 - whisker[0].y2 == Approx(spots[0].y - spots[1].y).margin(0.21));
    // What is not known breaks the line, and is no point.
    const std::regex broken("<path class=\"curve c-ar\" d=\"M[0-9. ]+M[0-9. ]+\"/>");
    CHECK(std::regex_search(drawn, broken));
    CHECK_THAT(drawn, !Contains("nan"));
  }
  const std::string file = svg_file({"chart", "t", "d", chart}, kWide);
  CHECK(test::read_markup(file).fault.empty());
  CHECK_THAT(file, Contains("xmlns=\"http://www.w3.org/2000/svg\"") &&
                       Contains("prefers-color-scheme: dark") && Contains("class=\"paper\""));
}

TEST_CASE("a chart cuts off what is above its bound and leaves out what has no logarithm",
          "[cpu]") {
  Chart chart;
  chart.series = {{"a",
                   "llada",
                   {{0, 9, none(), ""}, {1, 2, none(), ""}, {100, 1, none(), ""}},
                   Stroke::none,
                   true}};
  const std::string all = svg({"p", "t", "d", chart}, kWide);
  CHECK(marks(all, "llada").size() == 3);
  chart.log_x = true;
  CHECK(marks(svg({"p", "t", "d", chart}, kWide), "llada").size() == 2);
  chart.log_x = false;
  chart.y_most = 3;
  const std::string cut = svg({"p", "t", "d", chart}, kWide);
  const std::vector<Spot> before = marks(all, "llada"), after = marks(cut, "llada");
  REQUIRE(after.size() == 3);
  // 1 to 2 takes nearly all of the height once 9 does not count.
  CHECK(after[2].y - after[1].y > 5 * (before[2].y - before[1].y));
  CHECK_THAT(cut, Contains("clip-path=\"url(#p-920-c)\""));
}

TEST_CASE("a forest draws intervals, bars and bounds", "[cpu]") {
  Forest forest;
  forest.bars = true;
  forest.rows = {{"worse", "llada", 0.4, {0.3, 0.5}, "+0.4", false},
                 {"bound", "llada", 0.2, none(), "≤ 0.2", true},
                 {"better", "ar", -0.1, {-0.2, 0}, "−0.1", false}};
  forest.references = {{"zero", "real", 0}};
  for (const int width : {kWide, kNarrow}) {
    const std::string drawn = svg({"forest", "t", "d", forest}, width);
    INFO(drawn);
    CHECK(test::read_markup(drawn).fault.empty());
    const std::vector<Spot> llada = marks(drawn, "llada"), ar = marks(drawn, "ar");
    REQUIRE(llada.size() == 2);
    REQUIRE(ar.size() == 1);
    const double zero = lines(drawn, "curve dashed c-real").at(0).x1;
    CHECK(llada[0].x - zero == Approx(2 * (llada[1].x - zero)).margin(0.31));
    CHECK(zero - ar[0].x == Approx((llada[0].x - zero) / 4).margin(0.31));
    const auto whiskers = lines(drawn, "whisker c-llada");
    REQUIRE(whiskers.size() == 3);  // and its two ends
    CHECK((whiskers[0].x1 + whiskers[0].x2) / 2 == Approx(llada[0].x).margin(0.11));
    CHECK(lines(drawn, "whisker c-ar").at(0).x2 == Approx(zero).margin(0.11));
    CHECK_THAT(drawn, Contains("mark c-llada hollow"));
    CHECK_THAT(drawn, !Contains("mark c-ar hollow"));
    CHECK_THAT(drawn, Contains("≤ 0.2"));
  }
}

}  // namespace
}  // namespace masque::report
