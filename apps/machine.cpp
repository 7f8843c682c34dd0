#include "apps/machine.h"

#include <fcntl.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <system_error>
#include <utility>

namespace masque {
namespace {

namespace fs = std::filesystem;

// "model name	: AMD EPYC" → {"model name", "AMD EPYC"}
std::pair<std::string, std::string> key_and_value(const std::string& line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string::npos) return {};
  const std::size_t key_end = line.find_last_not_of(" \t", colon - 1);
  const std::size_t value = line.find_first_not_of(" \t", colon + 1);
  return {line.substr(0, key_end + 1), value == std::string::npos ? "" : line.substr(value)};
}

void read_cpu(Machine& machine) {
  std::set<std::pair<std::string, std::string>> cores;  // (socket, core)
  std::string socket;
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const auto [key, value] = key_and_value(line);
    if (key == "processor") ++machine.cpus;
    if (key == "model name") machine.cpu = value;
    if (key == "physical id") socket = value;
    if (key == "core id") cores.emplace(socket, value);
  }
  machine.cores = cores.empty() ? machine.cpus : static_cast<int>(cores.size());
  if (machine.cpu.empty()) machine.cpu = "unknown";
  cpu_set_t usable;
  machine.usable_cpus =
      sched_getaffinity(0, sizeof usable, &usable) == 0 ? CPU_COUNT(&usable) : machine.cpus;
  // cgroup 2: "max 100000", or microseconds of CPU time in each period.
  std::ifstream limit("/sys/fs/cgroup/cpu.max");
  double quota = 0, period = 0;
  if (limit >> quota >> period && period > 0) machine.cpu_quota = quota / period;
}

void read_memory(Machine& machine) {
  std::ifstream info("/proc/meminfo");
  for (std::string line; std::getline(info, line);) {
    const auto [key, value] = key_and_value(line);
    if (key == "MemTotal") machine.memory = std::stoll(value) * 1024;
    if (key == "MemAvailable" || key == "SwapFree") machine.available += std::stoll(value) * 1024;
  }
  // cgroup 2: "max", or bytes.
  std::ifstream limit("/sys/fs/cgroup/memory.max"), current("/sys/fs/cgroup/memory.current");
  std::int64_t most = 0, used = 0;
  if (limit >> most && current >> used) {
    machine.available = std::min(machine.available, std::max<std::int64_t>(0, most - used));
  }
}

// "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb …" → "550.54.14"
std::string read_nvidia_driver() {
  std::ifstream file("/proc/driver/nvidia/version");
  std::string line, last;
  std::getline(file, line);
  std::istringstream words(line);
  for (std::string word; words >> word;) {
    const bool number = word.find_first_not_of("0123456789.") == std::string::npos;
    if (number && word.find('.') != std::string::npos) return word;
    last = word;
  }
  return last.empty() ? "" : "of unknown version";
}

template <class Visit>
void for_each_entry(const fs::path& folder, const Visit& visit) {
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    visit(at->path());
  }
}

}  // namespace

Machine read_machine() {
  Machine machine;
  read_cpu(machine);
  read_memory(machine);
  machine.nvidia_driver = read_nvidia_driver();
  return machine;
}

ProcessMemory process_memory() {
  ProcessMemory memory;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    const auto [key, value] = key_and_value(line);
    if (key == "VmRSS") memory.resident = std::stoull(value) * 1024;
    if (key == "VmHWM") memory.peak = std::stoull(value) * 1024;
  }
  return memory;
}

std::set<fs::path> written_files(const std::string& name) {
  std::set<fs::path> files;
  for_each_entry("/proc", [&](const fs::path& process) {
    if (process.filename().string().find_first_not_of("0123456789") != std::string::npos) return;
    for_each_entry(process / "fd", [&](const fs::path& entry) {
      std::error_code error;
      const fs::path file = fs::read_symlink(entry, error);
      if (error || file.filename() != name) return;
      std::ifstream info(process / "fdinfo" / entry.filename());
      for (std::string line; std::getline(info, line);) {
        const auto [key, value] = key_and_value(line);
        if (key != "flags") continue;
        const long mode = std::strtol(value.c_str(), nullptr, 8) & O_ACCMODE;
        if (mode == O_WRONLY || mode == O_RDWR) files.insert(file);
      }
    });
  });
  return files;
}

}  // namespace masque
