// Samples, and generations to step through.
#include <fmt/format.h>

#include <set>

#include "apps/report/format.h"
#include "apps/report/sections.h"
#include "kernels/backend.h"

namespace masque::report {
namespace {

std::string settings_of(const Field& field, const RunInfo& run) {
  std::string text = fmt::format("seed {}", run.seed);
  const std::string strategy = field.text("strategy");
  if (!strategy.empty()) text += ", " + strategy;
  if (field.has("steps")) text += fmt::format(", {} steps", count(field.number("steps")));
  if (field.has("temperature")) {
    text += fmt::format(", temperature {:g}", field.number("temperature"));
  }
  return text;
}

void check_frames(const Field& generation) {
  generation.integer("length");
  generation.text("prompt");
  if (generation.list("frames").empty()) {
    throw InputError(fmt::format("results.json: {}.frames is empty; a generation has at least one",
                                 generation.path()));
  }
  for (const Field& frame : generation.list("frames")) {
    frame.number("step");
    if (!frame.has("text")) {
      throw InputError(fmt::format("results.json: {}.text is missing", frame.path()));
    }
    frame.text("text");
    frame.numbers("fresh");
    frame.numbers("confidence");
  }
}

}  // namespace

Section sample_section(const Results& results) {
  Section section{"samples", "Samples", {}};
  Samples samples;
  std::set<std::int64_t> seeds;
  for (const Field& field : results.root().list("samples")) {
    const RunInfo& run = results.run(field);
    seeds.insert(run.seed);
    const std::string prompt = field.text("prompt");
    for (const std::string& text : field.texts("texts")) {
      Sample sample{field.model("model"), model_name(field.model("model")), settings_of(field, run),
                    text.rfind(prompt, 0) == 0 ? prompt : "", text};
      (sample.style == "ar" ? samples.left : samples.right).push_back(std::move(sample));
    }
  }
  if (seeds.empty()) {
    section.blocks.push_back(Paragraph{kNotPart});
    return section;
  }
  samples.caption =
      fmt::format("Every text that results.json holds, with its settings; prompts in bold. {}.",
                  results.provenance(seeds));
  section.blocks.push_back(std::move(samples));
  return section;
}

Section viewer_section(const Results& results) {
  Section section{"viewer", "How LLaDA writes", {}};
  Viewer viewer;
  viewer.generations = nlohmann::json::array();
  std::set<std::int64_t> seeds;
  for (const Field& field : results.root().list("viewer")) {
    const RunInfo& run = results.run(field);
    seeds.insert(run.seed);
    check_frames(field);
    nlohmann::json generation = {
        {"title", field.text("title")},
        {"settings",
         fmt::format("{}, {}", model_name(field.model("model")), settings_of(field, run))},
        {"frames", field["frames"].json()}};
    viewer.generations.push_back(std::move(generation));
  }
  if (seeds.empty()) {
    section.blocks.push_back(Paragraph{kNotPart});
    return section;
  }
  viewer.caption = fmt::format(
      "Generations step by step. Characters written in the step are shaded by how confident the "
      "model was of them. {}.",
      results.provenance(seeds));
  section.blocks.push_back(std::move(viewer));
  return section;
}

}  // namespace masque::report
