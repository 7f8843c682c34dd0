#include "apps/flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "kernels/backend.h"
#include "models/config.h"
#include "models/spelling.h"

namespace masque {
namespace {

std::vector<const CLI::Option*> options_of(const CLI::App& app, bool positional) {
  return app.get_options([positional](const CLI::Option* option) {
    return !option->get_group().empty() && option->get_positional() == positional;
  });
}

}  // namespace

CLI::Option* takes_one_of(CLI::Option* option, std::vector<std::string> words) {
  option->type_name(fmt::format("{}", fmt::join(words, "|")));
  return option->check([option, words = std::move(words)](const std::string& value) {
    if (std::find(words.begin(), words.end(), value) != words.end()) return std::string();
    const std::string what = fmt::format("{} {}", name_of(*option), value.empty() ? "\"\"" : value);
    if (words.size() <= 2) {
      throw InputError(fmt::format("{}: must be {}", what, fmt::join(words, " or ")));
    }
    throw InputError(fmt::format("{}: {}", what, guess_of(value, words)));
  });
}

void refuse_negatives(CLI::App& app) {
  for (CLI::Option* option : app.get_options([](CLI::Option*) { return true; })) {
    if (option->get_type_name() != "UINT") continue;
    option->check([option](const std::string& value) {
      if (value.empty() || value[0] != '-') return std::string();
      throw InputError(fmt::format("{} {}: must be {}", name_of(*option), value, kind_of(*option)));
    });
  }
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) {
    refuse_negatives(*command);
  }
}

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* command) { return !command->get_group().empty(); });
}

std::vector<const CLI::Option*> flags_of(const CLI::App& app) {
  return options_of(app, false);
}

std::vector<const CLI::Option*> positionals_of(const CLI::App& app) {
  return options_of(app, true);
}

bool takes_value(const CLI::Option& option) {
  return option.get_items_expected_max() > 0;
}

std::string path_of(const CLI::App& app) {
  const CLI::App* const parent = app.get_parent();
  return parent == nullptr ? app.get_name() : path_of(*parent) + " " + app.get_name();
}

std::string name_of(const CLI::Option& option) {
  return option.get_name();
}

std::vector<std::string> names_of(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  return names;
}

std::string kind_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  if (type == "INT") return "a whole number";
  if (type == "UINT") return "a whole number from 0";
  if (type == "FLOAT") return "a number";
  return type;
}

std::vector<std::string> words_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  // FILE, INT: kinds of values.
  if (std::none_of(type.begin(), type.end(), [](unsigned char c) { return std::islower(c); })) {
    return {};
  }
  return CLI::detail::split(type, '|');
}

}  // namespace masque
