// Runs a test at every instruction set that this build has and this CPU can run.
#pragma once

#include <vector>

#include "kernels/cpu_level.h"
#include "tests/support/catch.h"

namespace masque::test {

// Puts the level back, whatever the test does.
class KeepCpuLevel {
 public:
  KeepCpuLevel() : level_(cpu_level()) {}
  ~KeepCpuLevel() { set_cpu_level(level_); }
  KeepCpuLevel(const KeepCpuLevel&) = delete;
  KeepCpuLevel& operator=(const KeepCpuLevel&) = delete;

 private:
  CpuLevel level_;
};

template <class Check>
void at_every_cpu_level(Check check) {
  const KeepCpuLevel keep;
  for (const CpuLevel level : cpu_levels()) {
    set_cpu_level(level);
    INFO("CPU level " << name_of(level));
    check();
  }
}

}  // namespace masque::test
