#include "apps/report/sections.h"

#include <fmt/format.h>

#include "apps/common.h"
#include "apps/report/format.h"

namespace masque::report {

const char* const kNotPart = "This was not part of this comparison.";

Document make_document(const Results& results) {
  const Field& root = results.root();
  Document document;
  document.title = fmt::format("LLaDA and AR on {}", results.file());
  document.subtitle =
      fmt::format("masque compare, {}, {}; {}", root.text("started"),
                  duration(root.number("seconds")), root["environment"].text("device"));
  if (is_study(results)) {
    document.title = fmt::format("Epochs over little text: LLaDA and AR on {}", results.file());
    document.answer = study_answer(results);
    document.sections = {reading_section(results), study_section(results),
                         protocol_section(results), missing_section(results)};
    return document;
  }
  document.answer = answer(results);
  document.sections = {
      reading_section(results),  headline_section(results), difference_section(results),
      curve_section(results),    place_section(results),    sample_section(results),
      viewer_section(results),   quality_section(results),  ablation_section(results),
      estimate_section(results), protocol_section(results), missing_section(results)};
  return document;
}

Section reading_section(const Results& results) {
  Section section{"reading", "How to read it", {}};
  section.blocks.push_back(List{
      {"Numbers are nats a token, of text that no model was trained on; lower is better. = is an "
       "exact likelihood, ≤ an upper bound (the model may be better, never worse), ~ a mean of "
       "exact ones.",
       fmt::format("Both models score the same tokens, {}, with no context before a window. "
                   "Intervals are 95%: across seeds (t, what another training would give), or "
                   "over windows (bootstrap, what other text of the kind would give).",
                   results.windows()),
       "A difference whose interval includes 0 is not shown to be one. Captions carry seeds, "
       "config "
       "hashes and protocol."}});
  return section;
}

Section missing_section(const Results& results) {
  Section section{"missing", "What is missing", {}};
  const std::vector<std::string> missing = results.root().texts("missing");
  const bool complete = results.root().flag("complete");
  if (!complete) {
    section.blocks.push_back(
        Paragraph{"The comparison has not come to its end; the same command goes on with it."});
  }
  if (!missing.empty()) {
    section.blocks.push_back(Paragraph{"Not in this report:"});
    section.blocks.push_back(List{missing});
  } else if (complete) {
    section.blocks.push_back(Paragraph{"Nothing: every part that was planned is here."});
  }
  return section;
}

}  // namespace masque::report
