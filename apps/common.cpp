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

#include "apps/terminal.h"
#include "kernels/backend.h"
#include "models/config.h"

namespace masque {
namespace {

std::atomic<int> caught_signal = 0;
std::atomic<std::int64_t> caught_at = 0;  // nanoseconds

void on_signal(int signal) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const std::int64_t at = now.tv_sec * 1'000'000'000L + now.tv_nsec;
  int none = 0;
  if (caught_signal.compare_exchange_strong(none, signal)) {
    caught_at = at;
  } else if (at - caught_at > 1'000'000'000L) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

void require_known_command(const CLI::App& app, const std::string& first) {
  std::vector<std::string> commands;
  for (const CLI::App* command : app.get_subcommands({})) commands.push_back(command->get_name());
  if (first[0] == '-' || std::find(commands.begin(), commands.end(), first) != commands.end()) {
    return;
  }
  throw InputError(fmt::format("unknown command {}: did you mean {}? There are {}", first,
                               nearest(first, commands), fmt::join(commands, ", ")));
}

constexpr int kBarWidth = 24;
constexpr const char* kSpins = "10000";  // some microseconds

}  // namespace

void add_common_options(CLI::App& command, CommonOptions& options) {
  add_device_options(command, options);
  command.add_option("--seed", options.seed, "Keys every random draw");
}

void add_device_options(CLI::App& command, CommonOptions& options) {
  command
      .add_option("--device", options.device,
                  "auto (a GPU where there is one), cpu, cuda or cuda:N")
      ->capture_default_str();
  command
      .add_option("--dtype", options.dtype,
                  "auto (bf16 on a GPU and on a CPU that multiplies it, else f32), f32, bf16, f64 "
                  "(CPU, for checks)")
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
    require_known_command(app, argc > 1 ? argv[1] : "-");
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    std::string message = error.what();
    std::replace(message.begin(), message.end(), '\n', ' ');
    fmt::print(stderr, "{}: {}; see {} --help\n", program, message, program);
    return 2;
  } catch (const InputError& error) {
    fmt::print(stderr, "{}: {}\n", program, error.what());
    return 2;
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

Progress::Progress(std::int64_t total, std::int64_t done)
    : total_(total),
      first_(done),
      terminal_(is_terminal(STDERR_FILENO)),
      start_(std::chrono::steady_clock::now()),
      last_draw_(start_) {}

Progress::~Progress() {
  clear();
}

double Progress::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

std::string Progress::eta(std::int64_t done) const {
  if (done <= first_) return "?";
  return duration(seconds() / static_cast<double>(done - first_) *
                  static_cast<double>(total_ - done));
}

void Progress::update(std::int64_t done, const std::string& note) {
  if (!terminal_) return;
  const auto now = std::chrono::steady_clock::now();
  if (drawn_ && done < total_ && now - last_draw_ < std::chrono::milliseconds(100)) return;
  last_draw_ = now;
  drawn_ = true;
  const auto filled = static_cast<int>(kBarWidth * done / std::max<std::int64_t>(1, total_));
  std::string bar;
  for (int i = 0; i < kBarWidth; ++i) bar += i < filled ? "█" : "░";
  fmt::print(stderr, "\r\033[K{} {}/{}  {}  ETA {}", bar, done, total_, note, eta(done));
  std::fflush(stderr);
}

void Progress::clear() {
  if (drawn_) fmt::print(stderr, "\r\033[K");
  drawn_ = false;
}

void Progress::line(const std::string& text) {
  clear();
  fmt::print(stderr, "{}\n", text);
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

}  // namespace masque
