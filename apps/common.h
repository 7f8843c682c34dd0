// What the programs and their subcommands share: parsing, common flags, progress, interruption.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "core/device.h"

namespace masque {

// --device, --dtype, --threads, --seed: of train, eval, sample, compare.
struct CommonOptions {
  std::string device = "auto";
  std::string dtype = "auto";
  int threads = 0;
  std::optional<std::uint64_t> seed;
};
void add_common_options(CLI::App& command, CommonOptions& options);
void add_device_options(CLI::App& command, CommonOptions& options);  // the same less --seed
// Sets the threads and makes the device.
Device apply(const CommonOptions& options);

// Runs the subcommand that the arguments name. Returns the exit code: 2 for bad usage or input, 1
// for a failure while running, each with one line on stderr.
int run_app(CLI::App& app, int argc, char** argv);

// Restarts the program with OpenMP threads that spin only briefly while they wait, then sleep,
// unless the environment says how to wait: on a busy machine spinning costs far more than waking up
// (docs/decisions/0005).
void wait_briefly(char** argv);

// Progress on stderr: a bar with rate and ETA on a terminal; elsewhere whatever lines the caller
// prints.
class Progress {
 public:
  explicit Progress(std::int64_t total, std::int64_t done = 0);
  ~Progress();
  // Redraws the bar at most ten times a second. note: what stands behind it. No-op off a terminal.
  void update(std::int64_t done, const std::string& note);
  // A line above the bar.
  void line(const std::string& text);
  bool on_terminal() const { return terminal_; }
  // "3m12s" from here to the end at the rate so far.
  std::string eta(std::int64_t done) const;
  double seconds() const;

 private:
  void clear();
  std::int64_t total_, first_;
  bool terminal_, drawn_ = false;
  std::chrono::steady_clock::time_point start_, last_draw_;
};

std::string duration(double seconds);      // 42s, 3m12s, 2h05m
std::string grouped(std::int64_t number);  // 1,115,394

// Ctrl-C and SIGTERM ask the loop to finish its step and save; one that comes more than a second
// later ends the program at once. Sooner it is the same request: timeout and Slurm signal a process
// and then its group.
void catch_interrupts();
int interrupt_signal();  // 0, SIGINT or SIGTERM

}  // namespace masque
