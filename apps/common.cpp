#include "apps/common.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <vector>

#include "apps/flags.h"
#include "apps/usage.h"
#include "core/threads.h"
#include "kernels/backend.h"

namespace masque {
namespace {

std::atomic<int> caught_signal = 0;
std::atomic<std::int64_t> caught_at = 0;  // monotonic_time()
std::atomic<bool> save_requested = false;
std::atomic<std::int64_t> last_reading = 0, time_stopped = 0;  // of running_seconds(), nanoseconds

// Nanoseconds. Safe in a signal handler.
std::int64_t monotonic_time() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000L + now.tv_nsec;
}

void on_signal(int signal) {
  const std::int64_t now = monotonic_time();
  std::int64_t first = 0;
  if (caught_at.compare_exchange_strong(first, now)) {
    caught_signal = signal;
  } else if (now - first > 1'000'000'000L) {
    leave_status_line();
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

void on_continue(int) {
  const std::int64_t now = monotonic_time();
  time_stopped += std::max<std::int64_t>(0, now - last_reading.exchange(now));
}

// Error where stdout, on a full disk say, did not take all that was written to it. That its reader
// has left, as in `| head`, is none.
void flush_stdout() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return;
  pollfd reader{STDOUT_FILENO, 0, 0};
  if (poll(&reader, 1, 0) == 1 && (reader.revents & (POLLERR | POLLHUP)) != 0) return;
  throw Error("cannot write to stdout: free some space, or write elsewhere");
}

constexpr const char* kSpins = "10000";  // some microseconds

}  // namespace

void add_common_options(CLI::App& command, CommonOptions& options) {
  add_device_options(command, options);
  command.add_option("--seed", options.seed,
                     fmt::format("Keys every random draw (default {})", kDefaultSeed));
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
    try {
      app.parse(argc, argv);
    } catch (const CLI::Success& asked) {  // --help, --version
      app.exit(asked);
    }
    flush_stdout();
    return 0;
  } catch (const CLI::ParseError& error) {
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
  // By its own path, not by /proc's: the system names a process, for pgrep, by the last part.
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  // OpenMP reads its environment when it is loaded, before main. Where it cannot be set, the
  // program would restart for ever.
  if (error || setenv("GOMP_SPINCOUNT", kSpins, 1) != 0) return;
  execv(program.c_str(), argv);  // where that fails, the program goes on as it is
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

double running_seconds() {
  for (;;) {
    const std::int64_t before = time_stopped, now = monotonic_time();
    last_reading = now;
    // Else a stop came in between.
    if (time_stopped == before) return static_cast<double>(now - before) * 1e-9;
  }
}

void leave_out_stops() {
  running_seconds();  // a first reading
  struct sigaction action {};
  action.sa_handler = on_continue;
  action.sa_flags = SA_RESTART;
  sigaction(SIGCONT, &action, nullptr);
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
