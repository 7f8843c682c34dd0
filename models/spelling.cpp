#include "models/spelling.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace masque {
namespace {

std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replace, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string guess(const std::string& word, const std::vector<std::string>& candidates) {
  const auto nearest = std::min_element(candidates.begin(), candidates.end(),
                                        [&](const std::string& a, const std::string& b) {
                                          return edit_distance(word, a) < edit_distance(word, b);
                                        });
  if (nearest == candidates.end()) return "";
  const std::size_t letters = std::max(word.size(), nearest->size());
  if (2 * edit_distance(word, *nearest) >= letters) return "";
  return fmt::format("did you mean {}? ", *nearest);
}

std::string guess_of(const std::string& word, const std::vector<std::string>& candidates) {
  const std::string guessed = guess(word, candidates);
  return fmt::format("{}{} are {}", guessed, guessed.empty() ? "there" : "There",
                     fmt::join(candidates, ", "));
}

}  // namespace masque
