// masque-bench: how fast ops, whole training steps and generations are, and how near to what the
// machine can do.
#include "apps/common.h"
#include "apps/environment.h"
#include "bench/decode_bench.h"
#include "bench/op_bench.h"
#include "bench/step_bench.h"

int main(int argc, char** argv) {
  masque::wait_briefly(argv);
  CLI::App app{
      "masque-bench times ops, training steps and generations against what the machine can do"};
  app.name("masque-bench");
  app.footer(
      "Examples:\n"
      "  masque-bench op attention\n"
      "  masque-bench step --preset quick --objective both\n"
      "  masque-bench decode --preset quick --objective both --batch 8");
  app.set_version_flag("--version", masque::version());
  app.require_subcommand(1);
  masque::bench::add_op_command(app);
  masque::bench::add_step_command(app);
  masque::bench::add_decode_command(app);
  return masque::run_app(app, argc, argv);
}
