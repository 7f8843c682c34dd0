#include "apps/help.h"

#include <fmt/format.h>

#include <sstream>

#include "apps/flags.h"

namespace masque {
namespace {

constexpr std::size_t kColumns = 70;  // behind the names

}  // namespace

std::string HelpFormatter::make_option_opts(const CLI::Option* option) const {
  const std::string type = option->get_type_name();
  if (!takes_value(*option) || type == name_of(*option)) return "";
  return " " + type + (option->get_expected_max() > 1 ? " ..." : "");
}

std::string HelpFormatter::make_option_desc(const CLI::Option* option) const {
  std::istringstream words(described(*option));
  std::string text, line;
  for (std::string word; words >> word;) {
    if (!line.empty() && line.size() + 1 + word.size() > kColumns) {
      text += line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
  }
  return text + line;
}

std::string described(const CLI::Option& option) {
  std::string by_default = option.get_default_str();
  if (by_default.empty()) return option.get_description();
  if (by_default.front() == '[') by_default = by_default.substr(1, by_default.size() - 2);
  return fmt::format("{} (default {})", option.get_description(), by_default);
}

}  // namespace masque
