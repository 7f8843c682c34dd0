#include <fmt/format.h>

#include <algorithm>

#include "apps/report/format.h"
#include "apps/report/render.h"
#include "apps/report/resources.h"
#include "apps/report/svg.h"

namespace masque::report {
namespace {

// Nothing outside the page is ever asked for: the browser holds it to that.
constexpr const char* kPolicy =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

class Page {
 public:
  void operator()(const Paragraph& block) { add("<p>{}</p>\n", html(block.text)); }

  void operator()(const List& block) {
    page_ += "<ul>\n";
    for (const std::string& item : block.items) add("<li>{}</li>\n", html(item));
    page_ += "</ul>\n";
  }

  void operator()(const Code& block) {
    add("<pre class=\"code\" tabindex=\"0\">{}</pre>\n", html(block.text));
  }

  void operator()(const Table& table) {
    const std::string id = fmt::format("table-{}", ++tables_);
    add("<figure class=\"table\">\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" "
        "aria-labelledby=\"{}\">\n<table aria-describedby=\"{}\">\n<thead><tr>",
        id, id);
    for (const Column& column : table.columns) {
      add("<th scope=\"col\"{}>{}</th>", column.words ? " class=\"words\"" : "", html(column.name));
    }
    page_ += "</tr></thead>\n<tbody>\n";
    for (const Row& row : table.rows) {
      add("<tr{}>", row.style.empty() ? "" : fmt::format(" class=\"of c-{}\"", row.style));
      for (std::size_t k = 0; k < row.cells.size(); ++k)
        add_cell(table.columns[k], row.cells[k], k);
      page_ += "</tr>\n";
    }
    add("</tbody>\n</table>\n</div>\n<figcaption id=\"{}\">{}</figcaption>\n</figure>\n", id,
        html(table.caption));
  }

  void operator()(const Figure& figure) {
    add("<figure class=\"views\" id=\"figure-{}\">\n", figure.name);
    const bool several = figure.views.size() > 1;
    for (std::size_t k = 0; several && k < figure.views.size(); ++k) {
      const std::string id = fmt::format("view-{}-{}", figure.name, k);
      add("<input type=\"radio\" name=\"view-{}\" id=\"{}\"{}/><label for=\"{}\">{}</label>\n",
          figure.name, id, k == 0 ? " checked=\"checked\"" : "", id, html(figure.views[k].label));
    }
    for (const View& view : figure.views) {
      add("<div class=\"view{}\">\n", view.plots.size() > 1 ? " pair" : "");
      for (const Plot& plot : view.plots) {
        add("<div class=\"wide\">{}</div>\n<div class=\"narrow\">{}</div>\n",
            svg(plot, view.plots.size() > 1 ? kHalf : kWide), svg(plot, kNarrow));
      }
      page_ += "</div>\n";
    }
    add("<figcaption>{}</figcaption>\n</figure>\n", html(figure.caption));
  }

  void operator()(const Samples& samples) {
    page_ += "<figure>\n<div class=\"samples\">\n";
    const std::size_t rows = std::max(samples.left.size(), samples.right.size());
    for (std::size_t k = 0; k < rows; ++k) {
      for (const std::vector<Sample>* column : {&samples.left, &samples.right}) {
        if (k < column->size()) {
          add_sample((*column)[k]);
        } else if (!samples.left.empty() && !samples.right.empty()) {
          page_ += "<div></div>\n";  // keeps the columns
        }
      }
    }
    add("</div>\n<figcaption>{}</figcaption>\n</figure>\n", html(samples.caption));
  }

  void operator()(const Viewer& viewer) {
    page_ += "<figure class=\"viewer\" id=\"generations\">\n<div class=\"finals\">\n";
    for (const nlohmann::json& generation : viewer.generations) {
      add("<h3>{} <span class=\"settings\">{}</span></h3>\n<pre class=\"text\">{}</pre>\n",
          html(generation["title"].get<std::string>()),
          html(generation["settings"].get<std::string>()),
          html(generation["frames"].back()["text"].get<std::string>()));
    }
    add("</div>\n<script type=\"application/json\">{}</script>\n"
        "<figcaption>{} Without scripts, and on paper, the final texts.</figcaption>\n</figure>\n",
        json_in_script(viewer.generations.dump()), html(viewer.caption));
  }

  template <class... Arguments>
  void add(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    page_ += fmt::format(format, std::forward<Arguments>(arguments)...);
  }
  std::string take() { return std::move(page_); }

 private:
  void add_cell(const Column& column, const std::string& cell, std::size_t number) {
    constexpr std::size_t kLong = 30;  // letters; what is longer may take several lines
    const char* kind = letters(cell) > kLong ? " class=\"words long\""
                       : column.words        ? " class=\"words\""
                                             : "";
    const char* name = number == 0 ? "th" : "td";
    add("<{}{}{}>{}</{}>", name, number == 0 ? " scope=\"row\"" : "", kind, html(cell), name);
  }

  void add_sample(const Sample& sample) {
    add("<div class=\"sample c-{}\">\n<h3>{} <span class=\"settings\">{}</span></h3>\n"
        "<pre class=\"text\"><b>{}</b>{}</pre>\n</div>\n",
        sample.style, html(sample.heading), html(sample.settings), html(sample.prompt),
        html(sample.text.substr(sample.prompt.size())));
  }

  std::string page_;
  int tables_ = 0;
};

}  // namespace

std::string to_html(const Document& document) {
  Page page;
  page.add(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"{}\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
      "<title>{}</title>\n<style>\n{}{}</style>\n</head>\n<body>\n<main>\n<header>\n"
      "<h1>{}</h1>\n<p class=\"subtitle\">{}</p>\n",
      kPolicy, html(document.title), resource("plot.css"), resource("report.css"),
      html(document.title), html(document.subtitle));
  for (const std::string& paragraph : document.answer) {
    page.add("<p class=\"answer\">{}</p>\n", html(paragraph));
  }
  page.add("</header>\n");
  if (document.sections.size() > 1) {
    page.add("<nav aria-label=\"Sections\"><ul>\n");
    for (const Section& section : document.sections) {
      page.add("<li><a href=\"#{}\">{}</a></li>\n", section.id, html(section.title));
    }
    page.add("</ul></nav>\n");
  }
  for (const Section& section : document.sections) {
    page.add("<section id=\"{}\" aria-labelledby=\"{}-title\">\n<h2 id=\"{}-title\">{}</h2>\n",
             section.id, section.id, section.id, html(section.title));
    for (const Block& block : section.blocks) std::visit(page, block);
    page.add("</section>\n");
  }
  page.add("</main>\n<script>\n{}</script>\n</body>\n</html>\n", resource("viewer.js"));
  return page.take();
}

}  // namespace masque::report
