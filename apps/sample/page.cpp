#include "apps/sample/page.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "apps/environment.h"
#include "apps/report/format.h"
#include "apps/report/render.h"
#include "apps/weights.h"
#include "kernels/backend.h"
#include "models/files.h"

namespace masque {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

report::Viewer make_viewer(const Run& run, const Samples& samples, const Recording& recording) {
  report::Viewer viewer;
  viewer.generations = Json::array();
  for (std::int64_t i = 0; i < samples.plan.n; ++i) {
    const std::int64_t forwards = samples.result.sequence_forwards[static_cast<std::size_t>(i)];
    viewer.generations.push_back(
        {{"title", samples.plan.n == 1 ? "The text" : fmt::format("Text {}", i + 1)},
         {"settings", fmt::format("{}, {} forwards", samples.plan.strategy, forwards)},
         {"frames", recording.frames(run.tokenizer, i)}});
  }
  viewer.caption = fmt::format(
      "Every step, each character that it wrote shaded by how probable it was to the model. Space "
      "plays, the arrow keys step. {}.",
      samples.summary());
  return viewer;
}

report::Paragraph make_settings(const SampleRequest& request, bool causal) {
  std::vector<std::string> settings;
  for (const auto& [name, value] : settings_of(request, causal)) {
    settings.push_back(fmt::format("{} {}", name, value));
  }
  return {fmt::format("Settings: {}. With the same text they give the same generation.",
                      fmt::join(settings, ", "))};
}

// The folder's own name.
std::string name_of(const Run& run) {
  const fs::path path = fs::absolute(run.folder.path()).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

}  // namespace

void check_page_file(const fs::path& file) {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  std::error_code unknown;
  if (!fs::is_directory(folder, unknown)) {
    throw InputError(fmt::format("--html {}: there is no folder {}; make it first", file.string(),
                                 folder.string()));
  }
  if (fs::is_directory(file, unknown)) {
    throw InputError(fmt::format("--html {}: is a folder; give a file in it", file.string()));
  }
  if (access(folder.c_str(), W_OK) != 0) {
    throw InputError(fmt::format("--html {}: {}: {}; give a file in another folder", file.string(),
                                 folder.string(), std::strerror(errno)));
  }
}

void write_page(const fs::path& file, const Run& run, const SampleRequest& request,
                const Samples& samples, const Recording& recording) {
  const std::string model = report::model_name(masque::name_of(run.config.model.objective));
  report::Document document;
  document.title = fmt::format("{} writes", name_of(run));
  document.subtitle = fmt::format("{}, {}; {}", model, weights_of(run), version());
  document.sections = {
      {"viewer",
       fmt::format("How {} writes", model),
       {make_viewer(run, samples, recording), make_settings(request, samples.plan.causal)}}};
  write_file(file, report::to_html(document));
}

}  // namespace masque
