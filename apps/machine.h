// What this machine has: for environment.json, masque doctor and masque-bench. Linux tells it in
// /proc; what it does not tell stays empty or 0.
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>

namespace masque {

struct Machine {
  std::string cpu;       // "unknown" where not told
  int cores = 0;         // physical, of the whole machine
  int cpus = 0;          // logical, of the whole machine
  int usable_cpus = 0;   // logical, that this process may run on
  double cpu_quota = 0;  // CPUs' worth of time that its container has; 0: no limit
  std::int64_t memory = 0, available = 0;  // bytes; available: within its container's limit too
  std::string nvidia_driver;               // its version; empty: no driver
};
Machine read_machine();

struct ProcessMemory {
  std::size_t resident = 0, peak = 0;  // bytes: now, and at most so far
};
ProcessMemory process_memory();

// The files of this name that some process has open for writing, as far as this one may see
// (/proc; not those of other machines or users).
std::set<std::filesystem::path> written_files(const std::string& name);

}  // namespace masque
