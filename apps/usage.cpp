#include "apps/usage.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "apps/flags.h"
#include "models/spelling.h"

namespace masque {
namespace {

// The command that was being read: of `app`, the one deepest in the tree.
const CLI::App& command_of(const CLI::App& app) {
  const std::vector<CLI::App*> parsed = app.get_subcommands();
  return parsed.empty() ? app : command_of(*parsed.back());
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : commands_of(app)) names.push_back(command->get_name());
  return names;
}

std::vector<std::string> flag_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* flag : flags_of(command)) {
    for (const std::string& name : names_of(*flag)) {
      if (name.size() > 2) names.push_back(name);
    }
  }
  return names;
}

bool is_flag(const std::vector<std::string>& words) {
  return !words.empty() && words.front().size() > 1 && words.front()[0] == '-';
}

template <class Kind>
bool is(const CLI::ParseError& error) {
  return dynamic_cast<const Kind*>(&error) != nullptr;
}

std::string explain_word(const CLI::App& command, const std::string& word) {
  const std::string program = path_of(command);
  if (is_flag({word})) {
    const std::string name = word.substr(0, word.find('='));
    return fmt::format("unknown flag {}: {}{} --help lists them", name,
                       guess(name, flag_names(command)), program);
  }
  const std::vector<std::string> commands = command_names(command);
  if (!commands.empty()) {
    const std::string parent = program.substr(program.find(' ') + 1);  // "data", or the program
    const std::string full = command.get_parent() == nullptr ? word : parent + " " + word;
    return fmt::format("unknown command {}: {}", full, guess_of(word, commands));
  }
  std::vector<std::string> taken;
  for (const CLI::Option* option : positionals_of(command)) taken.push_back(name_of(*option));
  return fmt::format(
      "unexpected \"{}\": {} takes {}", word, program,
      taken.empty() ? "flags only" : fmt::format("one {}", fmt::join(taken, " and one ")));
}

// The option that CLI11's text names first.
const CLI::Option* option_in(const CLI::App& command, std::string text) {
  const std::string before = "Could not convert: ";
  if (text.rfind(before, 0) == 0) text.erase(0, before.size());
  return command.get_option_no_throw(text.substr(0, text.find_first_of(" :")));
}

std::string explain_value(const CLI::Option& option) {
  return fmt::format("{} {}: must be {}{}", name_of(option), fmt::join(option.results(), ","),
                     kind_of(option), option.get_delimiter() == '\0' ? "" : ", or some by commas");
}

}  // namespace

std::string explain(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& command = command_of(app);
  const std::string see = fmt::format(" See {} --help", path_of(command));
  std::vector<std::string> rest = app.remaining(true);
  std::erase(rest, "--");
  std::stable_partition(rest.begin(), rest.end(),
                        [](const std::string& word) { return is_flag({word}); });
  std::string text = error.what();
  std::replace(text.begin(), text.end(), '\n', ' ');

  const bool required = is<CLI::RequiredError>(error);
  const bool unknown = is<CLI::ExtrasError>(error) || (required && is_flag(rest));
  if (unknown && !rest.empty()) return explain_word(command, rest.front());
  const CLI::Option* const option = option_in(command, text);
  if (required) {
    if (option != nullptr) {
      const std::vector<std::string> words = words_of(*option);
      return fmt::format("{} is missing: {}.{}", name_of(*option),
                         words.empty() ? option->get_description()
                                       : fmt::format("give {}", fmt::join(words, " or ")),
                         see);
    }
    if (!rest.empty()) return explain_word(command, rest.front());
    return fmt::format("give a command: {}.{}", fmt::join(command_names(command), ", "), see);
  }
  if (const std::size_t middle = text.find(" excludes "); middle != std::string::npos) {
    return fmt::format("{} and {} exclude each other: give one of them", text.substr(0, middle),
                       text.substr(middle + std::string(" excludes ").size()));
  }
  if (option != nullptr && !takes_value(*option)) {
    return fmt::format("{} takes no value: leave out what follows its =", name_of(*option));
  }
  if (option != nullptr && is<CLI::ConversionError>(error)) return explain_value(*option);
  if (option != nullptr && is<CLI::ArgumentMismatch>(error)) {
    if (text.find("At Most") != std::string::npos) {
      return fmt::format("{} is given {} times: give it once", name_of(*option), option->count());
    }
    return fmt::format("{} has no value: give {}", name_of(*option), option->get_type_name());
  }
  return text + "." + see;
}

}  // namespace masque
