// masque: train, evaluate, sample and compare LLaDA and autoregressive language models.
#include <CLI/CLI.hpp>

#include "apps/common.h"
#include "apps/compare.h"
#include "apps/data.h"
#include "apps/doctor.h"
#include "apps/environment.h"
#include "apps/eval.h"
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
  masque::wait_briefly(argv);
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
  masque::add_quality_command(app);
  masque::add_compare_command(app, exit_code);
  masque::add_report_command(app);
  masque::add_runs_command(app);
  masque::add_plot_command(app);
  masque::add_doctor_command(app);
  const int failure = masque::run_app(app, argc, argv);
  return failure != 0 ? failure : exit_code;
}
