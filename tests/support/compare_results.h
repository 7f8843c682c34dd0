// A results.json as masque compare writes it (docs/compare-format.md), invented and small: for
// tests of what reads one. No number of it was measured.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

namespace masque::test {

// Complete, with every list filled; three seeds. Names and texts hold what pages must escape.
nlohmann::json compare_results();

// The same before anything was measured: every list empty, `complete` false.
nlohmann::json empty_compare_results();

}  // namespace masque::test
