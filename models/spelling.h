// Words that were written wrong, for messages.
#pragma once

#include <string>
#include <vector>

namespace masque {

// "did you mean NAME? ", with the candidate that is fewest edits from the word; "" where even that
// takes half of the longer one's letters or more, as two words with nothing in common do.
std::string guess(const std::string& word, const std::vector<std::string>& candidates);
// The same, and what there is: "did you mean val? There are train, val, test".
std::string guess_of(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace masque
