// masque: train, evaluate, sample and compare LLaDA and autoregressive language models.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "apps/common.h"
#include "apps/data.h"
#include "apps/environment.h"
#include "apps/eval.h"
#include "apps/sample.h"
#include "apps/train.h"
#include "kernels/backend.h"
#include "models/config.h"

namespace {

constexpr const char* kFooter =
    "Example: a first run, on the text of your choice\n"
    "  masque data fetch tinyshakespeare\n"
    "  masque train runs/first --objective llada --data tinyshakespeare.txt --preset tiny\n"
    "  masque eval runs/first --data tinyshakespeare.txt\n"
    "  masque sample runs/first --prompt \"ROMEO:\"";

int run(int argc, char** argv) {
  CLI::App app{
      "masque trains, evaluates and samples LLaDA masked diffusion and autoregressive "
      "language models"};
  app.name("masque");
  app.footer(kFooter);
  app.set_version_flag("--version", masque::version());
  app.require_subcommand(1);
  int exit_code = 0;
  masque::add_data_command(app);
  masque::add_train_command(app, exit_code);
  masque::add_eval_command(app);
  masque::add_sample_command(app);
  std::vector<std::string> commands;
  for (const CLI::App* command : app.get_subcommands({})) commands.push_back(command->get_name());
  const std::string first = argc > 1 ? argv[1] : "-";
  if (first[0] != '-' && std::find(commands.begin(), commands.end(), first) == commands.end()) {
    throw masque::InputError(fmt::format("unknown command {}: did you mean {}? There are {}", first,
                                         masque::nearest(first, commands),
                                         fmt::join(commands, ", ")));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    std::string message = error.what();
    for (char& character : message) {
      if (character == '\n') character = ' ';
    }
    fmt::print(stderr, "masque: {}; see masque --help\n", message);
    return 2;
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  masque::wait_briefly(argv);
  try {
    return run(argc, argv);
  } catch (const masque::InputError& error) {
    fmt::print(stderr, "masque: {}\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "masque: {}\n", error.what());
    return 1;
  }
}
