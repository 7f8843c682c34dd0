// The one table of flags: CLI11's tree of commands, as --help, completion, man pages and errors of
// usage read it. What a flag takes is its type's name: words, as "llada|ar", where one in capitals
// stands for others ("best|last|STEP"); a kind of path (FILE, FOLDER, RUN); KEY=VALUE; or a plain
// type.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace masque {

inline constexpr const char* kFile = "FILE";  // or, of text, a folder
inline constexpr const char* kFolder = "FOLDER";
inline constexpr const char* kRun = "RUN";  // a folder
inline constexpr const char* kKeyValue = "KEY=VALUE";

// `option` takes one of `words` (a list of them, where it has a delimiter): shown, completed, and
// held to it. InputError, when it is parsed, for anything else, naming the nearest.
CLI::Option* takes_one_of(CLI::Option* option, std::vector<std::string> words);

// A number from 0 is no number with a minus, which CLI11 takes for a very large one: InputError
// when it is parsed. Of every command below `app`.
void refuse_negatives(CLI::App& app);

// In the order in which they were added; hidden ones are none.
std::vector<const CLI::App*> commands_of(const CLI::App& app);
std::vector<const CLI::Option*> flags_of(const CLI::App& app);
std::vector<const CLI::Option*> positionals_of(const CLI::App& app);

bool takes_value(const CLI::Option& option);
// "masque data info"
std::string path_of(const CLI::App& app);
// "--data", or of a positional "RUN"
std::string name_of(const CLI::Option& option);
// "-h" and "--help"
std::vector<std::string> names_of(const CLI::Option& option);
// What it takes: "a whole number", or the type's name.
std::string kind_of(const CLI::Option& option);
// What may stand for it, where its type is a list of words.
std::vector<std::string> words_of(const CLI::Option& option);

}  // namespace masque
