#include <fmt/format.h>

#include <algorithm>

#include "apps/report/format.h"
#include "apps/report/render.h"

namespace masque::report {
namespace {

// A fence longer than any in the text.
std::string fenced(const std::string& text) {
  std::size_t longest = 0, run = 0;
  for (const char character : text) {
    run = character == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  const std::string fence(std::max<std::size_t>(3, longest + 1), '`');
  return fmt::format("{}text\n{}{}{}\n\n", fence, text,
                     !text.empty() && text.back() == '\n' ? "" : "\n", fence);
}

class Page {
 public:
  void operator()(const Paragraph& block) { page_ += markdown(block.text) + "\n\n"; }

  void operator()(const List& block) {
    for (const std::string& item : block.items) page_ += "- " + markdown(item) + "\n";
    page_ += "\n";
  }

  void operator()(const Code& block) { page_ += fenced(block.text); }

  void operator()(const Table& table) {
    std::string rule = "|";
    page_ += "|";
    for (const Column& column : table.columns) {
      page_ += fmt::format(" {} |", markdown(column.name));
      rule += column.words ? " --- |" : " ---: |";
    }
    page_ += "\n" + rule + "\n";
    for (const Row& row : table.rows) {
      page_ += "|";
      for (const std::string& cell : row.cells) page_ += fmt::format(" {} |", markdown(cell));
      page_ += "\n";
    }
    caption(table.caption);
  }

  void operator()(const Figure& figure) {
    for (const View& view : figure.views) {
      for (const Plot& plot : view.plots) {
        page_ += fmt::format("![{}](plots/{}.svg)\n\n", markdown(plot.title), plot.name);
      }
    }
    caption(figure.caption);
  }

  void operator()(const Samples& samples) {
    const std::size_t rows = std::max(samples.left.size(), samples.right.size());
    for (std::size_t k = 0; k < rows; ++k) {
      for (const std::vector<Sample>* column : {&samples.left, &samples.right}) {
        if (k >= column->size()) continue;
        const Sample& sample = (*column)[k];
        page_ += fmt::format("**{}**, {}\n\n", markdown(sample.heading), markdown(sample.settings));
        page_ += fenced(sample.text);
      }
    }
    caption(samples.caption);
  }

  void operator()(const Viewer& viewer) {
    for (const nlohmann::json& generation : viewer.generations) {
      const auto& frames = generation["frames"];
      page_ += fmt::format("**{}**, {}\n\n", markdown(generation["title"].get<std::string>()),
                           markdown(generation["settings"].get<std::string>()));
      // Some of the steps: report.html has all.
      for (const std::size_t k : {std::size_t{0}, frames.size() / 2, frames.size() - 1}) {
        const auto& frame = frames[k];
        page_ += fmt::format("Step {}:\n\n", frame["step"].dump());
        page_ += fenced(frame["text"].get<std::string>());
      }
    }
    caption(viewer.caption +
            " Here the first step, the middle one and the last; report.html has "
            "all, to step through.");
  }

  void add(const std::string& text) { page_ += text; }
  std::string take() { return std::move(page_); }

 private:
  void caption(const std::string& text) { page_ += fmt::format("\n*{}*\n\n", markdown(text)); }
  std::string page_;
};

}  // namespace

std::string to_markdown(const Document& document) {
  Page page;
  page.add(fmt::format("# {}\n\n{}\n\n", markdown(document.title), markdown(document.subtitle)));
  for (const std::string& paragraph : document.answer) {
    page.add(fmt::format("**{}**\n\n", markdown(paragraph)));
  }
  for (const Section& section : document.sections) {
    page.add(fmt::format("## {}\n\n", markdown(section.title)));
    for (const Block& block : section.blocks) std::visit(page, block);
  }
  return page.take();
}

}  // namespace masque::report
