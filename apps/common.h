// What the programs and their subcommands share: parsing, common flags, signals.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "apps/progress.h"
#include "core/device.h"

namespace masque {

// --device, --dtype, --threads, --seed: of train, eval, sample, quality.
struct CommonOptions {
  std::string device = "auto";
  std::string dtype = "auto";
  int threads = 0;
  std::optional<std::uint64_t> seed;
};
inline constexpr std::uint64_t kDefaultSeed = 1;  // of --seed
void add_common_options(CLI::App& command, CommonOptions& options);
void add_device_options(CLI::App& command, CommonOptions& options);  // the same less --seed
// Sets the threads and makes the device.
Device apply(const CommonOptions& options);

// Runs the subcommand that the arguments name. Returns the exit code: 2 for bad usage or input, 1
// for a failure while running or a stdout that did not take all, each with one line on stderr.
int run_app(CLI::App& app, int argc, char** argv);

// Restarts the program with OpenMP threads that spin only briefly while they wait, then sleep,
// unless the environment says how to wait: on a busy machine spinning costs far more than waking up
// (docs/decisions/0005).
void wait_briefly(char** argv);

std::string duration(double seconds);      // 42s, 3m12s, 2h05m
std::string grouped(std::int64_t number);  // 1,115,394

// Seconds on a clock that stands still while this process is stopped, as by Ctrl-Z. A stop takes
// along the time between it and the reading before it.
double running_seconds();
// Has running_seconds() stand still from now on; without it, it runs on. Handles SIGCONT.
void leave_out_stops();

// Ctrl-C and SIGTERM ask the loop to finish its step and save; one that comes more than a second
// later ends the program at once. Sooner it is the same request: timeout and Slurm signal a process
// and then its group.
void catch_interrupts();
int interrupt_signal();  // 0, SIGINT or SIGTERM

// SIGUSR1 asks for a save; the answer, true at most once for each time that it was asked.
void catch_save_requests();
bool take_save_request();

}  // namespace masque
