// What this machine has: for environment.json, masque doctor and masque-bench. Linux tells it in
// /proc; what it does not tell stays empty or 0.
#pragma once

#include <cstdint>
#include <string>

namespace masque {

struct Machine {
  std::string cpu;       // "unknown" where not told
  int cores = 0;         // physical, of the whole machine
  int cpus = 0;          // logical, of the whole machine
  int usable_cpus = 0;   // logical, that this process may run on
  double cpu_quota = 0;  // CPUs' worth of time that its container has; 0: no limit
  std::int64_t memory = 0, available = 0;  // bytes
  std::string nvidia_driver;               // its version; empty: no driver
};
Machine read_machine();

}  // namespace masque
