#include "apps/doctor.h"

#include <fmt/format.h>

#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "apps/environment.h"
#include "apps/machine.h"
#include "core/device.h"
#include "core/threads.h"
#include "kernels/cpu_level.h"
#include "models/corpus.h"

namespace masque {
namespace {

constexpr const char* kText = "tinyshakespeare.txt";

struct Advice {
  std::string problem, mend;
};

struct Findings {
  Machine machine;
  Device device = make_device("auto", "auto");
  nlohmann::json environment;
  std::optional<std::string> text;  // where kText was found
  std::vector<Advice> advice;
};

std::optional<std::string> find_text() {
  try {
    return find_data(kText).string();
  } catch (const InputError&) {
    return std::nullopt;
  }
}

std::vector<std::string> level_names() {
  std::vector<std::string> names;
  for (const CpuLevel level : cpu_levels()) names.emplace_back(name_of(level));
  return names;
}

bool has_gpu_backend() {
  return std::string(cuda_backend()) == "nvcc";
}

std::optional<Advice> about_threads(const Machine& machine) {
  const int threads = max_threads(), cpus = machine.usable_cpus;
  const char* variable = std::getenv("OMP_NUM_THREADS");
  const std::string mend = fmt::format(
      "{}give --threads {}", variable == nullptr ? "" : "unset OMP_NUM_THREADS, or ", cpus);
  if (threads < cpus) {
    return Advice{
        fmt::format("masque runs {} thread{} on {} CPUs", threads, threads == 1 ? "" : "s", cpus),
        mend};
  }
  if (threads > cpus) {
    return Advice{fmt::format("masque runs {} threads on {} CPU{}, where they wait for each other",
                              threads, cpus, cpus == 1 ? "" : "s"),
                  mend};
  }
  const int quota = std::max(1, static_cast<int>(machine.cpu_quota));
  if (machine.cpu_quota > 0 && quota < threads) {
    return Advice{fmt::format("this container has the time of {:.3g} CPUs for {} threads",
                              machine.cpu_quota, threads),
                  fmt::format("give --threads {}", quota)};
  }
  return std::nullopt;
}

std::optional<Advice> about_load(const Machine& machine) {
  double load = 0;  // of the last minute
  if (getloadavg(&load, 1) != 1 || load < 0.5 * machine.cpus) return std::nullopt;
  return Advice{fmt::format("other programs keep {:.1f} of {} CPUs busy", load, machine.cpus),
                "wait for them before you time anything"};
}

std::optional<Advice> about_gpu(const Findings& findings) {
  if (!findings.machine.nvidia_driver.empty() && !has_gpu_backend()) {
    return Advice{"the NVIDIA GPU goes unused: this build has no CUDA backend",
                  "cmake --preset cuda && cmake --build --preset cuda"};
  }
  if (has_gpu_backend() && !on_gpu(findings.device)) {
    return Advice{"this build has the CUDA backend and finds no GPU",
                  "see whether nvidia-smi lists one, and what CUDA_VISIBLE_DEVICES says"};
  }
  return std::nullopt;
}

std::vector<Advice> advice_on(const Findings& findings) {
  std::vector<Advice> advice;
  const auto add = [&](const std::optional<Advice>& item) {
    if (item) advice.push_back(*item);
  };
  add(about_threads(findings.machine));
  const std::string build_type = findings.environment["build_type"];
  if (build_type != "Release") {
    add(Advice{fmt::format("this build, {}, is slow", build_type),
               "cmake --preset cpu && cmake --build --preset cpu"});
  }
  const std::string level = name_of(cpu_level()), best = name_of(cpu_levels().back());
  if (level != best) {
    add(Advice{fmt::format("MASQUE_CPU={} leaves {} of the CPU unused", level, best),
               "unset MASQUE_CPU"});
  }
  add(about_gpu(findings));
  if (!findings.text) {
    add(Advice{fmt::format("{} is not here", kText), "masque data fetch tinyshakespeare"});
  }
  add(about_load(findings.machine));
  return advice;
}

Findings examine() {
  Findings findings;
  findings.machine = read_machine();
  findings.environment = environment(findings.device);
  findings.text = find_text();
  findings.advice = advice_on(findings);
  return findings;
}

std::string gibibytes(std::int64_t bytes) {
  return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1 << 30));
}

void print(const Findings& findings) {
  const Machine& machine = findings.machine;
  const auto line = [](const char* what, const std::string& text) {
    fmt::print("{:<9}{}\n", what, text);
  };
  line("build", version());
  line("cpu",
       fmt::format("{}, {} cores, {} threads{}; {}", machine.cpu, machine.cores, machine.cpus,
                   machine.usable_cpus == machine.cpus
                       ? ""
                       : fmt::format(" ({} for masque)", machine.usable_cpus),
                   fmt::format("levels {}", fmt::join(level_names(), ", "))));
  line("memory",
       fmt::format("{}, {} free", gibibytes(machine.memory), gibibytes(machine.available)));
  line("gpu", fmt::format("{}; {}",
                          machine.nvidia_driver.empty() ? "no NVIDIA driver"
                                                        : "NVIDIA driver " + machine.nvidia_driver,
                          has_gpu_backend() ? "this build has the CUDA backend"
                          : std::string(cuda_backend()) == "emulated"
                              ? "this build emulates one, for tests"
                              : "this build has no CUDA backend"));
  line("data", findings.text.value_or(std::string("no ") + kText));
  line("device", describe(findings.device) + " is --device auto --dtype auto");
  fmt::print("\n{}\n", findings.advice.empty() ? "Nothing to mend." : "To mend:");
  for (const Advice& item : findings.advice) fmt::print("  {}: {}\n", item.problem, item.mend);
}

void print_json(const Findings& findings) {
  const Machine& machine = findings.machine;
  nlohmann::ordered_json json;
  json["build"] = findings.environment;
  json["build"]["cuda"] = cuda_backend();
  json["machine"] = {{"cpu", machine.cpu},
                     {"cores", machine.cores},
                     {"threads", machine.cpus},
                     {"usable_threads", machine.usable_cpus},
                     {"levels", level_names()},
                     {"memory_bytes", machine.memory},
                     {"available_bytes", machine.available},
                     {"nvidia_driver", nullptr}};
  if (!machine.nvidia_driver.empty()) json["machine"]["nvidia_driver"] = machine.nvidia_driver;
  json["data"] = nullptr;
  if (findings.text) json["data"] = *findings.text;
  json["device"] = describe(findings.device);
  json["advice"] = nlohmann::ordered_json::array();
  for (const Advice& item : findings.advice) {
    json["advice"].push_back({{"problem", item.problem}, {"mend", item.mend}});
  }
  fmt::print("{}\n", json.dump());
}

}  // namespace

void add_doctor_command(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command =
      app.add_subcommand("doctor", "Show what this machine has, and what masque will use");
  command->footer("Example:\n  masque doctor");
  command->add_flag("--json", *json, "One JSON object on stdout");
  command->callback([json] { *json ? print_json(examine()) : print(examine()); });
}

}  // namespace masque
