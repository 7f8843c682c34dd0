#include "apps/data.h"

#include <fmt/format.h>

#include <memory>
#include <system_error>

#include "apps/common.h"
#include "apps/data_fetch.h"
#include "apps/data_info.h"
#include "apps/flags.h"
#include "apps/own_text.h"
#include "kernels/backend.h"
#include "models/files.h"
#include "models/source.h"

namespace masque {
namespace {

namespace fs = std::filesystem;

struct SynthOptions {
  std::string out;
  std::int64_t characters = 1'000'000;
  std::uint64_t seed = 1;
  bool force = false;
};

constexpr std::int64_t kMostCharacters = 1'000'000'000;

// Text of the source from the first turn that starts in it.
std::string first_turns(const Source& source, const SynthOptions& options) {
  constexpr std::int64_t kLongestTurn = 4096;
  const std::string text = source.generate(options.characters + kLongestTurn, options.seed);
  const std::size_t gap = text.substr(0, kLongestTurn).find("\n\n");
  return text.substr(gap == std::string::npos ? 0 : gap + 2,
                     static_cast<std::size_t>(options.characters));
}

void synth(const SynthOptions& options) {
  if (options.characters < 1 || options.characters > kMostCharacters) {
    throw InputError(
        fmt::format("--chars {}: give a number from 1 to {}", options.characters, kMostCharacters));
  }
  const fs::path file = options.out;
  std::error_code error;
  if (fs::is_directory(file, error)) {
    throw InputError(fmt::format("{} is a folder: name a file", options.out));
  }
  if (fs::exists(file, error) && !options.force) {
    throw InputError(
        fmt::format("{} exists: name another file, or overwrite it with --force", options.out));
  }
  const Source source;
  const std::string text = first_turns(source, options);
  try {
    if (file.has_parent_path()) make_folder(file.parent_path());
    write_file(file, text);
  } catch (const Error& failure) {
    throw Error(fmt::format("{}; or name a file elsewhere", failure.what()));
  }
  fmt::print("{}: {} characters of synthetic play dialogue, seed {}\n", options.out,
             grouped(options.characters), options.seed);
  fmt::print("its entropy rate is {:.4f} nats a character: on average no model does better\n",
             source.entropy_rate());
}

void add_fetch(CLI::App& data) {
  struct Options {
    std::string name, folder = "data";
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = data.add_subcommand("fetch", "Download a public text, checked by SHA-256");
  command->footer("Example:\n  masque data fetch tinyshakespeare");
  takes_one_of(command->add_option("NAME", options->name, "Which text")->required(),
               public_texts());
  command->add_option("--dir", options->folder, "Folder to put it in")
      ->type_name(kFolder)
      ->capture_default_str();
  command->callback([options] { fetch_data(options->name, options->folder); });
}

void add_info(CLI::App& data) {
  struct Options {
    std::string file;
    InfoOptions info;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command =
      data.add_subcommand("info", "Show what a text is and what a model will see of it");
  command->footer(
      "Examples:\n"
      "  masque data info tinyshakespeare.txt --context 256\n"
      "  masque data info notes/ --tokenizer byte");
  command->add_option("FILE", options->file, kDataHelp)->type_name(kFile)->required();
  takes_one_of(command->add_option("--tokenizer", options->info.tokenizer, "As of masque train"),
               {"char", "byte"})
      ->capture_default_str();
  command->add_option("--context", options->info.context, "Tokens a sequence")
      ->capture_default_str();
  command
      ->add_option("--train-fraction", options->info.train_fraction, "Of the text, from its start")
      ->capture_default_str();
  command->add_option("--val-fraction", options->info.val_fraction, "Of the text; the rest is test")
      ->capture_default_str();
  command->add_option("--seed", options->info.seed, "Keys the masks shown")->capture_default_str();
  command->add_flag("--json", options->json, "One JSON object on stdout");
  command->callback([options] {
    const DataInfo info = data_info(find_data(options->file), options->info);
    options->json ? print_info_json(info, options->info) : print_info(info, options->info);
  });
}

void add_synth(CLI::App& data) {
  auto options = std::make_shared<SynthOptions>();
  CLI::App* command =
      data.add_subcommand("synth", "Write text of a source whose entropy is known exactly");
  command->footer("Example:\n  masque data synth data/synth.txt --chars 1000000 --seed 1");
  command->add_option("OUT", options->out, "File to write")->type_name(kFile)->required();
  command->add_option("--chars", options->characters, "Characters")->capture_default_str();
  command->add_option("--seed", options->seed, "Keys the text")->capture_default_str();
  command->add_flag("--force", options->force, "Overwrite OUT where it exists");
  command->callback([options] { synth(*options); });
}

}  // namespace

void add_data_command(CLI::App& app) {
  CLI::App* data = app.add_subcommand("data", "Fetch, look at or make training text");
  data->require_subcommand(1);
  data->footer(
      "Examples:\n"
      "  masque data fetch tinyshakespeare\n"
      "  masque data info tinyshakespeare.txt\n"
      "  masque data synth data/synth.txt --chars 1000000 --seed 1");
  add_fetch(*data);
  add_info(*data);
  add_synth(*data);
}

}  // namespace masque
