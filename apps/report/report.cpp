#include "apps/report/report.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "apps/flags.h"
#include "apps/report/render.h"
#include "apps/report/sections.h"
#include "apps/report/svg.h"
#include "kernels/backend.h"
#include "models/corpus.h"
#include "models/files.h"

namespace masque {
namespace {

namespace fs = std::filesystem;

void write_plots(const report::Document& document, const fs::path& folder) {
  for (const report::Section& section : document.sections) {
    for (const report::Block& block : section.blocks) {
      const auto* figure = std::get_if<report::Figure>(&block);
      if (figure == nullptr) continue;
      for (const report::View& view : figure->views) {
        for (const report::Plot& plot : view.plots) {
          const int width = view.plots.size() > 1 ? report::kHalf : report::kWide;
          write_file(folder / (plot.name + ".svg"), report::svg_file(plot, width));
        }
      }
    }
  }
}

}  // namespace

nlohmann::json read_results(const fs::path& file) {
  std::error_code unknown;
  if (!fs::exists(file, unknown)) {
    throw InputError(
        fmt::format("no {}; give the folder that masque compare wrote", file.string()));
  }
  nlohmann::json results = nlohmann::json::parse(read_text(file), nullptr, false);
  if (results.is_discarded()) {
    throw InputError(
        fmt::format("{}: is not JSON; restore it from a copy, or go on with the "
                    "comparison",
                    file.string()));
  }
  return results;
}

void write_report(const nlohmann::json& results, const fs::path& folder) {
  const report::Document document = report::make_document(report::Results(results));
  const std::string html = to_html(document), markdown = to_markdown(document);
  fs::create_directories(folder / "plots");
  write_plots(document, folder / "plots");
  write_file(folder / "report.md", markdown);
  write_file(folder / "report.html", html);
}

void report_folder(const fs::path& folder) {
  write_report(read_results(folder / "results.json"), folder);
  fmt::print("{}\n{}\n", (folder / "report.html").string(), (folder / "report.md").string());
  if (write_pdf(folder)) fmt::print("{}\n", (folder / "report.pdf").string());
}

void add_report_command(CLI::App& app) {
  auto folder = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("report", "Make the pages of a comparison again, from its results.json");
  command->footer("Example:\n  masque report comparisons/first");
  command->add_option("FOLDER", *folder, "What masque compare wrote")
      ->type_name(kFolder)
      ->required();
  command->callback([folder] { report_folder(*folder); });
}

}  // namespace masque
