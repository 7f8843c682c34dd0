#include "apps/environment.h"

#include <fmt/format.h>
#include <omp.h>
#include <sys/utsname.h>

#include <nlohmann/json.hpp>

#include "apps/machine.h"

namespace masque {
namespace {

#ifdef __clang__
constexpr const char* kCompiler = "clang " __clang_version__;
#else
constexpr const char* kCompiler = "gcc " __VERSION__;
#endif

}  // namespace

std::string version() {
  return fmt::format("masque {} (commit {}, {}, {})", MASQUE_VERSION, MASQUE_COMMIT, kCompiler,
                     MASQUE_BUILD_TYPE);
}

nlohmann::json environment(const Device& device) {
  utsname system{};
  uname(&system);
  return {{"version", MASQUE_VERSION},
          {"commit", MASQUE_COMMIT},
          {"compiler", kCompiler},
          {"build_type", MASQUE_BUILD_TYPE},
          {"device", describe(device)},
          {"cpu", read_machine().cpu},
          {"threads", omp_get_max_threads()},
          {"system", fmt::format("{} {} {}", system.sysname, system.release, system.machine)}};
}

}  // namespace masque
