// Guesses at what somebody meant.
#include "models/spelling.h"

#include "tests/support/catch.h"

namespace masque::test {

TEST_CASE("a word is guessed where it is nearly one, and not where it is like none", "[cpu]") {
  const std::vector<std::string> presets = {"baby", "quick", "tiny"};
  CHECK(guess("qick", presets) == "did you mean quick? ");
  CHECK(guess("tniy", {"baby", "tiny-2", "tiny"}) == "");  // half of its letters
  CHECK(guess("ftech", {"fetch", "info"}) == "did you mean fetch? ");
  CHECK(guess("", {"baby", "a"}) == "");
  CHECK(guess("split", {"clip", "layers"}) == "");
  CHECK(guess("x", {}) == "");
  CHECK(guess_of("qick", presets) == "did you mean quick? There are baby, quick, tiny");
  CHECK(guess_of("enormous", presets) == "there are baby, quick, tiny");
}

}  // namespace masque::test
