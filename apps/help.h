// What --help looks like: a flag, what it takes, what it does and its default, within 100 columns.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace masque {

class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option_opts(const CLI::Option* option) const override;
  std::string make_option_desc(const CLI::Option* option) const override;
};

// A flag's description and, where it has one, its default.
std::string described(const CLI::Option& option);

}  // namespace masque
