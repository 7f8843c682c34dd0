#include "apps/report/svg.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/report/format.h"
#include "apps/report/resources.h"
#include "models/utf8.h"

namespace masque::report {
namespace {

constexpr double kLetter = 7.6;  // pixels, of a letter of average width in text of 13

// Paths around (0, 0), by which styles differ besides their colour.
std::string shape_of(const std::string& style) {
  if (style == "ar") return "M-4.5-4.5H4.5V4.5H-4.5Z";
  if (style == "real" || style == "s8") return "M-5 0H5M0-5V5";
  if (style == "s1") return "M0-6L5.5 4H-5.5Z";
  if (style == "s2") return "M0-6L6 0L0 6L-6 0Z";
  if (style == "s3") return "M0 6L5.5-4H-5.5Z";
  if (style == "s4") return "M-5-5L5 5M-5 5L5-5";
  if (style == "s5") return "M-3-5.5H3V5.5H-3Z";
  if (style == "s6") return "M-5.5-3H5.5V3H-5.5Z";
  if (style == "s7") return "M-5.5 0L0-5.5V5.5Z";
  return "M-4.8 0a4.8 4.8 0 1 0 9.6 0a4.8 4.8 0 1 0-9.6 0Z";
}

std::string drawn(const Plot& plot, int width, bool alone) {
  Drawing drawing(fmt::format("{}-{}", plot.name, width));
  const double height =
      std::visit([&](const auto& content) { return draw(drawing, content, width); }, plot.content);
  return drawing.element(plot, width, height, alone);
}

}  // namespace

std::size_t letters(const std::string& text) {
  return count_code_points(text);
}

double width_of(const std::string& text) {
  return kLetter * static_cast<double>(letters(text));
}

std::string mark(const std::string& style, double x, double y, bool hollow,
                 const std::string& note) {
  return fmt::format(
      "<path class=\"mark c-{}{}\" transform=\"translate({:.1f} {:.1f})\" d=\"{}\"><title>{}"
      "</title></path>",
      style, hollow ? " hollow" : "", x, y, shape_of(style), html(note));
}

void Drawing::line(const std::string& style, double x1, double y1, double x2, double y2) {
  add(fmt::format(R"(<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>)", style,
                  x1, y1, x2, y2));
}

void Drawing::text(const std::string& style, const std::string& anchor, double x, double y,
                   const std::string& text) {
  add(fmt::format(R"(<text class="{}" text-anchor="{}" x="{:.1f}" y="{:.1f}">{}</text>)", style,
                  anchor, x, y, html(text)));
}

std::string Drawing::element(const Plot& plot, int width, double height, bool alone) const {
  const std::string size = fmt::format("viewBox=\"0 0 {} {:.0f}\"", width, height);
  return fmt::format(
      "<svg {}class=\"plot\" {} role=\"img\" aria-labelledby=\"{}-t {}-d\">\n"
      "<title id=\"{}-t\">{}</title>\n<desc id=\"{}-d\">{}</desc>\n{}{}</svg>\n",
      alone ? fmt::format("xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{:.0f}\" ",
                          width, height)
            : "",
      size, id_, id_, id_, html(plot.title), id_, html(plot.description),
      alone ? fmt::format("<style>{}</style>\n<rect class=\"paper\" width=\"{}\" height=\"{:.0f}\""
                          "/>\n",
                          resource("plot.css"), width, height)
            : "",
      body_);
}

std::string svg(const Plot& plot, int width) {
  return drawn(plot, width, false);
}

std::string svg_file(const Plot& plot, int width) {
  return drawn(plot, width, true);
}

}  // namespace masque::report
