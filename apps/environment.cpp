#include "apps/environment.h"

#include <fmt/format.h>
#include <gnu/libc-version.h>
#include <sys/utsname.h>

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>

#include "apps/data_fetch.h"
#include "apps/json.h"
#include "apps/machine.h"
#include "commit.h"  // made by commit.cmake
#include "core/threads.h"
#include "kernels/cpu_level.h"
#include "models/corpus.h"

namespace masque {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

#ifdef __clang__
constexpr const char* kCompiler = "clang " __clang_version__;
#else
constexpr const char* kCompiler = "gcc " __VERSION__;
#endif

std::string commit() {
  return std::string(MASQUE_COMMIT) + (MASQUE_DIRTY == 1 ? " with changes" : "");
}

std::string cuda_facts() {
  const std::string backend = cuda_backend();
  if (backend == "none") return "none: built without the CUDA backend";
  if (backend == "emulated") return "emulated on the CPU, for tests";
  return MASQUE_CUDA_FACTS;
}

std::string joined(const std::vector<CpuLevel>& levels) {
  std::string names;
  for (const CpuLevel level : levels) {
    names += (names.empty() ? "" : ", ") + std::string(name_of(level));
  }
  return names;
}

constexpr const char* kVariables[] = {"MASQUE_CPU",      "MASQUE_DATA_DIR", "CUDA_VISIBLE_DEVICES",
                                      "OMP_NUM_THREADS", "GOMP_SPINCOUNT",  "OMP_WAIT_POLICY"};

// What was typed, a word each; empty where the system does not tell.
std::vector<std::string> command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  return words;
}

Json variables() {
  Json set = Json::object();
  for (const char* name : kVariables) {
    if (const char* value = std::getenv(name)) set[name] = value;
  }
  return set;
}

Json data_facts(const fs::path& file, const std::string& tokenizer) {
  std::error_code error;
  const fs::path path = fs::absolute(file, error);
  Json facts = {{"file", path.string()}, {"bytes", nullptr}, {"sha256", nullptr}};
  try {
    if (fs::is_directory(path, error)) {
      const Corpus corpus = read_corpus(path, tokenizer);
      facts["files"] = corpus.files.size();
      facts["bytes"] = corpus.text.size();
      facts["sha256"] = sha256_of_text(corpus.text);
    } else {
      if (const auto bytes = fs::file_size(path, error); !error) facts["bytes"] = bytes;
      facts["sha256"] = sha256_of(path);
    }
  } catch (const Error&) {  // no program sha256sum, no file: no reason not to train
  }
  return facts;
}

}  // namespace

std::string version_number() {
  return MASQUE_VERSION;
}

std::string version() {
  return fmt::format("masque {} (commit {}, {}, {})", MASQUE_VERSION, commit(), kCompiler,
                     MASQUE_BUILD_TYPE);
}

std::string version_text() {
  return fmt::format(
      "masque {}\n"
      "commit    {}\n"
      "compiler  {}, {}\n"
      "CUDA      {}\n"
      "CPU       {}: kernels built; {}: used here\n"
      "threads   {}",
      MASQUE_VERSION, commit(), kCompiler, MASQUE_BUILD_TYPE, cuda_facts(), joined(built_levels()),
      name_of(cpu_level()), max_threads());
}

const char* cuda_backend() {
#if defined(MASQUE_EMULATE)
  return "emulated";
#elif defined(MASQUE_CUDA)
  return "nvcc";
#else
  return "none";
#endif
}

Json environment(const Device& device) {
  utsname system{};
  uname(&system);
  const Machine machine = read_machine();
  Json json = {{"version", MASQUE_VERSION},
               {"commit", MASQUE_COMMIT},
               {"dirty", nullptr},
               {"compiler", kCompiler},
               {"build_type", MASQUE_BUILD_TYPE},
               {"libc", fmt::format("glibc {}", gnu_get_libc_version())},
               {"device", describe(device)},
               {"dtype", name_of(activation_dtype(device))},
               {"level", name_of(cpu_level())},
               {"threads", max_threads()},
               {"cpu", machine.cpu},
               {"cores", machine.cores},
               {"cpus", machine.cpus},
               {"usable_cpus", machine.usable_cpus},
               {"memory_bytes", machine.memory},
               {"nvidia_driver", nullptr},
               {"system", fmt::format("{} {} {}", system.sysname, system.release, system.machine)}};
  if (MASQUE_DIRTY >= 0) json["dirty"] = MASQUE_DIRTY == 1;
  if (!machine.nvidia_driver.empty()) json["nvidia_driver"] = machine.nvidia_driver;
  return json;
}

Json run_environment(const Device& device, const std::string& data_file,
                     const std::string& tokenizer) {
  std::error_code error;
  Json json = environment(device);
  json["started"] = utc(std::time(nullptr));
  json["command"] = command_line();
  json["directory"] = fs::current_path(error).string();
  json["variables"] = variables();
  if (!data_file.empty()) json["data"] = data_facts(data_file, tokenizer);
  return json;
}

Json resumed_environment(const fs::path& file, std::int64_t step, const Device& device) {
  std::ifstream stream(file);
  Json json = Json::parse(stream, nullptr, false);
  if (!json.is_object()) json = Json::object();
  Json sitting = run_environment(device);
  sitting["step"] = step;
  if (!json.contains("resumed") || !json["resumed"].is_array()) json["resumed"] = Json::array();
  json["resumed"].push_back(sitting);
  return json;
}

}  // namespace masque
