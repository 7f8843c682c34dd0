// What this machine has: for environment.json, masque doctor and masque-bench. Linux tells it in
// /proc; what it does not tell stays empty or 0.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace masque {

struct Machine {
  std::string cpu;                   // "unknown" where not told
  int cores = 0;                     // physical, of the whole machine
  int cpus = 0;                      // logical, of the whole machine
  int usable_cpus = 0;               // logical, that this process may run on
  double cpu_quota = 0;              // CPUs' worth of time that its container has; 0: no limit
  std::vector<std::string> vectors;  // instruction sets of the CPU: "AVX2", …
  std::int64_t memory = 0, available = 0;  // bytes
  std::string nvidia_driver;               // its version; empty: no driver
};
Machine read_machine();

// Instruction sets that the CPU has and this build leaves unused, and that this build uses and the
// CPU lacks.
std::vector<std::string> unused_vectors(const Machine& machine);
std::vector<std::string> missing_vectors(const Machine& machine);

}  // namespace masque
