// What a report says about results.json, in order. Every section of a comparison is always there;
// one whose list is empty says that it was not part of it.
#pragma once

#include <string>
#include <vector>

#include "apps/report/document.h"
#include "apps/report/results.h"

namespace masque::report {

Document make_document(const Results& results);

// The first paragraphs: what the numbers allow to say, and no more.
std::vector<std::string> answer(const Results& results);

Section reading_section(const Results& results);
Section headline_section(const Results& results);
Section difference_section(const Results& results);
Section curve_section(const Results& results);
Section place_section(const Results& results);  // by masked share, by position
Section sample_section(const Results& results);
Section viewer_section(const Results& results);
Section quality_section(const Results& results);
Section ablation_section(const Results& results);
Section estimate_section(const Results& results);
Section protocol_section(const Results& results);
Section missing_section(const Results& results);

// Of `masque compare --study`, which has these instead of all but reading, protocol and missing.
bool is_study(const Results& results);
std::vector<std::string> study_answer(const Results& results);
Section study_section(const Results& results);

extern const char* const kNotPart;  // the sentence of an empty section

}  // namespace masque::report
