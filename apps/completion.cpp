#include "apps/completion.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <set>

#include "apps/flags.h"
#include "kernels/backend.h"
#include "models/checkpoint.h"
#include "models/config.h"

namespace masque {
namespace {

using Lines = std::vector<std::string>;

constexpr const char* kBash =
    R"(# bash completion of masque: source it, or put it where bash-completion looks for it.
_masque() {
  local -a words=()
  local i word glued=0
  # bash cuts words at = and :, as in --set lr=1e-3 and cuda:0; here they are whole again.
  for ((i = 1; i <= COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $word == [=:] && ${#words[@]} -gt 0 ]]; then
      words[-1]+=$word
      glued=1
    elif ((glued)); then
      words[-1]+=$word
      glued=0
    else
      words+=("$word")
    fi
  done
  local whole=${words[-1]} last=${COMP_WORDS[COMP_CWORD]}
  [[ $last == [=:] ]] && last=
  local before=${whole%"$last"} line paths=
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :files) paths=-f ;;
      :folders) paths=-d ;;
      *)
        line=${line%%$'\t'*}
        [[ $line == *= ]] && compopt -o nospace 2> /dev/null
        COMPREPLY+=("${line#"$before"}")
        ;;
    esac
  done < <("${COMP_WORDS[0]/#\~/$HOME}" __complete "${words[@]}" 2> /dev/null)
  if [[ $paths ]]; then
    compopt -o filenames 2> /dev/null
    mapfile -t COMPREPLY < <(compgen "$paths" -- "$last")
  fi
}
complete -F _masque masque
)";

constexpr const char* kZsh = R"(#compdef masque
# zsh completion of masque: a file _masque in a folder of $fpath, or sourced after compinit.
_masque() {
  local line value
  local -a lines described open
  lines=("${(@f)$("${words[1]/#\~/$HOME}" __complete "${(@)words[2,CURRENT]}" 2> /dev/null)}")
  for line in "${lines[@]}"; do
    case $line in
      ('') ;;
      (:files) _files; return ;;
      (:folders) _files -/; return ;;
      (*)
        value=${line%%$'\t'*}
        if [[ $value == *= ]]; then
          open+=("$value")
        else
          described+=("${value//:/\\:}:${line#*$'\t'}")
        fi
        ;;
    esac
  done
  (( $#described )) && _describe -V masque described
  (( $#open )) && compadd -S '' -- "${open[@]}"
}
if [ "$funcstack[1]" = _masque ]; then _masque "$@"; else compdef _masque masque; fi
)";

constexpr const char* kFish =
    R"(# fish completion of masque: source it, or put it in ~/.config/fish/completions/masque.fish.
function __masque_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in ($words[1] __complete $words[2..-1] 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path (commandline -ct)
            case :folders
                __fish_complete_directories (commandline -ct) ''
            case '*'
                echo $line
        end
    end
end
complete -c masque -f -a '(__masque_complete)'
)";

struct Shell {
  const char* name;
  const char* script;
};
constexpr Shell kShells[] = {{"bash", kBash}, {"zsh", kZsh}, {"fish", kFish}};

bool starts_with(const std::string& word, const std::string& start) {
  return word.rfind(start, 0) == 0;
}

// The first sentence or clause of a description.
std::string short_of(const std::string& description) {
  return description.substr(0, description.find_first_of(":;(\n"));
}

// How a command line stands before the word that is completed.
struct Place {
  const CLI::App* command = nullptr;
  const CLI::Option* wants = nullptr;  // the flag whose value comes next
  std::set<const CLI::Option*> given;
  std::vector<std::string> positionals;
};

Place read_words(const CLI::App& app, const std::vector<std::string>& words) {
  Place place;
  place.command = &app;
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.size() > 1 && word[0] == '-') {
      const std::size_t equals = word.find('=');
      const CLI::Option* flag = place.command->get_option_no_throw(word.substr(0, equals));
      place.given.insert(flag);
      const bool takes = flag != nullptr && takes_value(*flag) && equals == std::string::npos;
      place.wants = takes ? flag : nullptr;
    } else if (place.wants != nullptr) {
      const bool more = place.wants->get_expected_max() > 1 && place.wants->get_allow_extra_args();
      if (!more) place.wants = nullptr;
    } else if (const auto commands = commands_of(*place.command); !commands.empty()) {
      const auto found =
          std::find_if(commands.begin(), commands.end(),
                       [&](const CLI::App* command) { return command->get_name() == word; });
      if (found != commands.end()) place.command = *found;
    } else {
      place.positionals.push_back(word);
    }
  }
  return place;
}

// Steps of the checkpoints in the run that a command line names first.
Lines steps_in(const Place& place) {
  Lines steps;
  if (place.positionals.empty()) return steps;
  try {
    for (const std::int64_t step : RunFolder(place.positionals.front()).steps()) {
      steps.push_back(std::to_string(step));
    }
  } catch (const Error&) {
    // A folder that cannot be read has nothing to offer.
  }
  return steps;
}

// Values of an option that begin with `typed`.
Lines values(const CLI::Option& option, const std::string& typed, const Place& place) {
  const std::string type = option.get_type_name();
  if (type == kFile) return {":files"};
  if (type == kFolder || type == kRun) return {":folders"};
  Lines words;
  if (type == kKeyValue) {
    for (const std::string& key : assignable_keys()) {
      words.push_back(key.find('=') == std::string::npos ? key + "=" : key);
    }
  }
  for (const std::string& word : words_of(option)) {
    if (word == "STEP") {
      for (const std::string& step : steps_in(place)) words.push_back(step);
    } else if (std::none_of(word.begin(), word.end(),
                            [](unsigned char c) { return std::isupper(c); })) {
      words.push_back(word);
    }
  }
  // Of a list by commas the last is completed.
  const std::size_t comma =
      option.get_delimiter() == '\0' ? std::string::npos : typed.rfind(option.get_delimiter());
  const std::string before = comma == std::string::npos ? "" : typed.substr(0, comma + 1);
  Lines lines;
  for (const std::string& word : words) {
    if (starts_with(before + word, typed)) lines.push_back(before + word);
  }
  return lines;
}

Lines flags(const Place& place, const std::string& typed) {
  Lines lines;
  for (const CLI::Option* flag : flags_of(*place.command)) {
    const bool again = flag->get_expected_max() > 1 || flag->get_delimiter() != '\0';
    if (place.given.count(flag) > 0 && !again) continue;
    for (const std::string& name : names_of(*flag)) {
      if (!starts_with(name, typed)) continue;
      lines.push_back(fmt::format("{}\t{}", name, short_of(flag->get_description())));
    }
  }
  return lines;
}

}  // namespace

Lines completions(const CLI::App& app, const std::vector<std::string>& words) {
  const Place place = read_words(app, words);
  const std::string typed = words.empty() ? "" : words.back();
  if (starts_with(typed, "--") && typed.find('=') != std::string::npos) {
    const std::string name = typed.substr(0, typed.find('='));
    const CLI::Option* flag = place.command->get_option_no_throw(name);
    if (flag == nullptr) return {};
    Lines lines = values(*flag, typed.substr(name.size() + 1), place);
    for (std::string& line : lines) {
      if (line[0] != ':') line.insert(0, name + "=");
    }
    return lines;
  }
  if (starts_with(typed, "-")) return flags(place, typed);
  if (place.wants != nullptr) return values(*place.wants, typed, place);
  Lines lines;
  for (const CLI::App* command : commands_of(*place.command)) {
    if (!starts_with(command->get_name(), typed)) continue;
    lines.push_back(fmt::format("{}\t{}", command->get_name(), command->get_description()));
  }
  const std::vector<const CLI::Option*> positionals = positionals_of(*place.command);
  if (positionals.empty()) return lines;
  const CLI::Option* next = positionals.back();
  if (place.positionals.size() < positionals.size()) next = positionals[place.positionals.size()];
  const bool full = place.positionals.size() >= positionals.size() && next->get_expected_max() <= 1;
  return full ? flags(place, typed) : values(*next, typed, place);
}

void add_completion_command(CLI::App& app) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("completion", "Write the completion script of a shell");
  command->footer(
      "Examples:\n"
      "  source <(masque completion bash)\n"
      "  masque completion bash > ~/.local/share/bash-completion/completions/masque\n"
      "  masque completion zsh > ~/.zfunc/_masque\n"
      "  masque completion fish > ~/.config/fish/completions/masque.fish");
  std::vector<std::string> names;
  for (const Shell& known : kShells) names.emplace_back(known.name);
  takes_one_of(command->add_option("SHELL", *shell, "Whose script")->required(), names);
  command->callback([shell] {
    for (const Shell& known : kShells) {
      if (*shell == known.name) fmt::print("{}", known.script);
    }
  });
}

}  // namespace masque
