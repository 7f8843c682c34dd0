#include "apps/man.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "apps/environment.h"
#include "apps/flags.h"
#include "apps/help.h"
#include "core/check.h"
#include "models/files.h"
#include "models/spelling.h"

namespace masque {
namespace {

constexpr const char* kEnvironment = R"(.SH ENVIRONMENT
.TP
.B MASQUE_DATA_DIR
A folder in which texts are looked for.
.TP
.B MASQUE_CPU
An instruction set to use instead of the best: portable, avx2, avx512, avx512_bf16 or amx.
.TP
.B CUDA_VISIBLE_DEVICES
Which GPUs there are.
.TP
.B NO_COLOR
Where set, colours are left out.
)";
constexpr const char* kExitStatus = R"(.SH EXIT STATUS
0 on success; 2 for bad usage or bad input, with one line on stderr that says what was wrong, its value and the mend;
1 for a failure while running; 130 or 143 after Ctrl\-C or SIGTERM, which save first.
)";

// Text that roff prints as it stands.
std::string plain(const std::string& text) {
  std::string safe;
  for (const char character : text) {
    if (character == '\\') {
      safe += "\\e";
    } else if (character == '-') {
      safe += "\\-";
    } else if (character == '\n') {
      safe += ' ';
    } else {
      safe += character;
    }
  }
  const bool request = !safe.empty() && (safe[0] == '.' || safe[0] == '\'');
  return request ? "\\&" + safe : safe;
}

// masque-data-info
std::string page_name(const CLI::App& command) {
  std::string name = path_of(command);
  for (char& character : name) character = character == ' ' ? '-' : character;
  return name;
}

std::string bold(const std::string& text) {
  return "\\fB" + plain(text) + "\\fR";
}

std::string italic(const std::string& text) {
  return "\\fI" + plain(text) + "\\fR";
}

std::string synopsis(const CLI::App& command) {
  std::string line = bold(path_of(command));
  if (!commands_of(command).empty()) return line + " " + italic("COMMAND") + " …";
  for (const CLI::Option* option : positionals_of(command)) {
    std::string name = italic(name_of(*option));
    if (option->get_expected_max() > 1) name += " …";
    line += option->get_required() ? " " + name : " [" + name + "]";
  }
  return line + " [" + italic("FLAGS") + "]";
}

std::string option_entry(const CLI::Option& option) {
  std::string names;
  if (option.get_positional()) names = italic(name_of(option));
  for (const std::string& name : names_of(option)) {
    names += (names.empty() ? "" : ", ") + bold(name);
  }
  const std::vector<std::string> words = words_of(option);
  if (takes_value(option) && (!option.get_positional() || !words.empty())) {
    names += " " + italic(option.get_type_name());
    if (option.get_delimiter() != '\0') names += italic(",…");
  }
  return fmt::format(".TP\n{}\n{}\n", names, plain(described(option)));
}

std::string options_section(const std::string& title,
                            const std::vector<const CLI::Option*>& options) {
  if (options.empty()) return "";
  std::string text = fmt::format(".SH {}\n", title);
  for (const CLI::Option* option : options) text += option_entry(*option);
  return text;
}

// A footer: lines that begin with two spaces are what one types, others speak of them.
std::string examples(const CLI::App& command) {
  std::istringstream footer(command.get_footer());
  std::string text;
  bool typed = false;
  for (std::string line; std::getline(footer, line);) {
    if (line == "Example:" || line == "Examples:" || line.empty()) continue;
    const bool is_typed = line.rfind("  ", 0) == 0;
    if (is_typed != typed) text += is_typed ? ".PP\n.nf\n.RS\n" : ".RE\n.fi\n";
    if (!is_typed) text += ".PP\n";
    text += plain(is_typed ? line.substr(2) : line) + "\n";
    typed = is_typed;
  }
  if (typed) text += ".RE\n.fi\n";
  return text.empty() ? "" : ".SH EXAMPLES\n" + text;
}

std::string see_also(const CLI::App& command) {
  std::vector<std::string> pages;
  if (command.get_parent() != nullptr) pages.push_back(page_name(*command.get_parent()));
  for (const CLI::App* child : commands_of(command)) pages.push_back(page_name(*child));
  if (pages.empty()) return "";
  std::string text = ".SH SEE ALSO\n";
  for (std::size_t i = 0; i < pages.size(); ++i) {
    text += fmt::format(".BR {} (1){}\n", plain(pages[i]), i + 1 < pages.size() ? "," : "");
  }
  return text;
}

const CLI::App& command_at(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* command = &app;
  for (const std::string& word : words) {
    const CLI::App* found = nullptr;
    std::vector<std::string> names;
    for (const CLI::App* child : commands_of(*command)) {
      names.push_back(child->get_name());
      if (child->get_name() == word) found = child;
    }
    if (found == nullptr && names.empty()) {
      throw InputError(fmt::format("man {}: {} has no commands: leave out {}",
                                   fmt::join(words, " "), path_of(*command), word));
    }
    if (found == nullptr) {
      throw InputError(fmt::format("man {}: {}", fmt::join(words, " "), guess_of(word, names)));
    }
    command = found;
  }
  return *command;
}

void write_pages(const CLI::App& command, const std::filesystem::path& folder) {
  write_file(folder / (page_name(command) + ".1"), man_page(command));
  for (const CLI::App* child : commands_of(command)) write_pages(*child, folder);
}

}  // namespace

std::string man_page(const CLI::App& command) {
  const std::string name = page_name(command);
  std::string text =
      fmt::format(".TH {} 1 \"\" \"masque {}\" \"masque\"\n", plain(name), version_number());
  text += fmt::format(".SH NAME\n{} \\- {}\n", plain(name), plain(command.get_description()));
  text += fmt::format(".SH SYNOPSIS\n{}\n", synopsis(command));
  const auto commands = commands_of(command);
  if (!commands.empty()) text += ".SH COMMANDS\n";
  for (const CLI::App* child : commands) {
    text += fmt::format(".TP\n{}\n{}\n", bold(child->get_name()), plain(child->get_description()));
  }
  text += options_section("ARGUMENTS", positionals_of(command));
  text += options_section("FLAGS", flags_of(command));
  text += examples(command);
  if (command.get_parent() == nullptr) text += std::string(kEnvironment) + kExitStatus;
  return text + see_also(command);
}

void add_man_command(CLI::App& app) {
  struct Options {
    std::vector<std::string> words;
    std::string folder;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("man", "Write the manual page of a command");
  command->footer(
      "Examples:\n"
      "  masque man train | man -l -\n"
      "  masque man data info > masque-data-info.1\n"
      "  masque man --all ~/.local/share/man/man1");
  command->add_option("COMMAND", options->words, "Whose page; none: masque's own")
      ->type_name("WORD");
  command->add_option("--all", options->folder, "Write every page into this folder instead")
      ->type_name(kFolder);
  command->callback([options, &app] {
    if (options->folder.empty()) {
      fmt::print("{}", man_page(command_at(app, options->words)));
      return;
    }
    if (!options->words.empty()) {
      throw InputError(
          fmt::format("man {} --all: give a command or --all", fmt::join(options->words, " ")));
    }
    make_folder(options->folder);
    write_pages(app, options->folder);
  });
}

}  // namespace masque
