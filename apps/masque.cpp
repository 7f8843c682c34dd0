// masque: train, evaluate, sample and compare LLaDA and autoregressive language models.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string_view>

#include "apps/common.h"
#include "apps/compare.h"
#include "apps/completion.h"
#include "apps/data.h"
#include "apps/doctor.h"
#include "apps/environment.h"
#include "apps/eval.h"
#include "apps/help.h"
#include "apps/man.h"
#include "apps/plot.h"
#include "apps/quality.h"
#include "apps/report/report.h"
#include "apps/runs.h"
#include "apps/sample.h"
#include "apps/train.h"

namespace {

constexpr const char* kFooter =
    "Example: a first run, on the text of your choice\n"
    "  masque data fetch tinyshakespeare\n"
    "  masque train runs/first --objective llada --data tinyshakespeare.txt --preset tiny\n"
    "  masque eval runs/first --data tinyshakespeare.txt\n"
    "  masque sample runs/first --prompt \"ROMEO:\"\n"
    "Both models, compared:\n"
    "  masque compare out --data tinyshakespeare.txt --budget 15m";

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "masque trains, evaluates and samples LLaDA masked diffusion and autoregressive "
      "language models"};
  app.name("masque");
  app.footer(kFooter);
  app.formatter(std::make_shared<masque::HelpFormatter>());
  app.set_version_flag("--version", masque::version_text, "Show the version and what was built");
  app.require_subcommand(1);
  int exit_code = 0;
  masque::add_data_command(app);
  masque::add_train_command(app, exit_code);
  masque::add_eval_command(app);
  masque::add_sample_command(app);
  masque::add_quality_command(app);
  masque::add_compare_command(app, exit_code);
  masque::add_report_command(app);
  masque::add_runs_command(app);
  masque::add_plot_command(app);
  masque::add_doctor_command(app);
  masque::add_completion_command(app);
  masque::add_man_command(app);
  if (argc > 1 && argv[1] == std::string_view(masque::kCompleteCommand)) {
    for (const std::string& line : masque::completions(app, {argv + 2, argv + argc})) {
      fmt::print("{}\n", line);
    }
    return 0;
  }
  masque::wait_briefly(argv);
  masque::leave_out_stops();
  const int failure = masque::run_app(app, argc, argv);
  return failure != 0 ? failure : exit_code;
}
