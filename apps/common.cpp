#include "apps/common.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

#include "apps/flags.h"
#include "apps/usage.h"
#include "kernels/backend.h"

namespace masque {
namespace {

std::atomic<int> caught_signal = 0;
std::atomic<std::int64_t> caught_at = 0;  // nanoseconds
std::atomic<bool> save_requested = false;

void on_signal(int signal) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const std::int64_t at = now.tv_sec * 1'000'000'000L + now.tv_nsec;
  int none = 0;
  if (caught_signal.compare_exchange_strong(none, signal)) {
    caught_at = at;
  } else if (at - caught_at > 1'000'000'000L) {
    leave_status_line();
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

constexpr const char* kSpins = "10000";  // some microseconds

}  // namespace

void add_common_options(CLI::App& command, CommonOptions& options) {
  add_device_options(command, options);
  command.add_option("--seed", options.seed, "Keys every random draw");
}

void add_device_options(CLI::App& command, CommonOptions& options) {
  command.add_option("--device", options.device, "auto: a GPU where there is one")
      ->type_name("auto|cpu|cuda|cuda:N")
      ->capture_default_str();
  takes_one_of(command.add_option("--dtype", options.dtype,
                                  "auto: bf16 on a GPU and on a CPU that multiplies it, else f32; "
                                  "f64: CPU, for checks"),
               {"auto", "f32", "bf16", "f64"})
      ->capture_default_str();
  command.add_option("--threads", options.threads, "CPU threads; 0: all cores")
      ->capture_default_str();
}

Device apply(const CommonOptions& options) {
  set_threads(options.threads);
  return make_device(options.device, options.dtype);
}

int run_app(CLI::App& app, int argc, char** argv) {
  const std::string program = app.get_name();
  try {
    refuse_negatives(app);
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    fmt::print(stderr, "{}: {}\n", program, explain(app, error));
    return 2;
  } catch (const InputError& error) {
    fmt::print(stderr, "{}: {}\n", program, error.what());
    return 2;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "{}: out of memory: lower batch, context or --n, or free some memory\n",
               program);
    return 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", program, error.what());
    return 1;
  }
}

void wait_briefly(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  // OpenMP reads its environment when it is loaded, before main.
  setenv("GOMP_SPINCOUNT", kSpins, 1);
  execv("/proc/self/exe", argv);  // where that fails, the program goes on as it is
}

std::string duration(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::max(0.0, seconds) + 0.5);
  if (whole < 60) return fmt::format("{}s", whole);
  if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  return fmt::format("{}h{:02}m", whole / 3600, whole % 3600 / 60);
}

std::string grouped(std::int64_t number) {
  std::string digits = std::to_string(number);
  for (std::int64_t at = static_cast<std::int64_t>(digits.size()) - 3; at > (number < 0 ? 1 : 0);
       at -= 3) {
    digits.insert(static_cast<std::size_t>(at), ",");
  }
  return digits;
}

void catch_interrupts() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

int interrupt_signal() {
  return caught_signal;
}

void catch_save_requests() {
  std::signal(SIGUSR1, [](int) { save_requested = true; });
}

bool take_save_request() {
  return save_requested.exchange(false);
}

}  // namespace masque
